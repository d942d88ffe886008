import { randomBytes } from 'node:crypto';
import { environment, type EncryptionKey } from '../config.ts';
import { AppError } from '../errors.ts';
import { keptSecret, secretFile } from './data-folder.ts';

/** The keys that encrypt connections' secrets, made once. The file has the form of ENCRYPTION_KEYS. */
export async function keptEncryptionKeys(dataDir: string): Promise<EncryptionKey[]> {
  const name = 'encryption-keys';
  const text = await keptSecret(dataDir, name, () => `local:${randomBytes(32).toString('base64')}`);
  const parsed = environment.shape.ENCRYPTION_KEYS.safeParse(text);
  if (parsed.success && parsed.data) return parsed.data;
  throw new AppError(
    'INTERNAL',
    `${secretFile(dataDir, name)} is damaged: it must hold keys in the form of ENCRYPTION_KEYS.`,
  );
}

/** The first admin's API key, made once. */
export async function keptAdminApiKey(dataDir: string): Promise<string> {
  const name = 'admin-api-key';
  const text = await keptSecret(dataDir, name, () => `ock_${randomBytes(32).toString('base64url')}`);
  const parsed = environment.shape.ADMIN_API_KEY.safeParse(text);
  if (parsed.success && parsed.data) return parsed.data;
  throw new AppError(
    'INTERNAL',
    `${secretFile(dataDir, name)} is damaged: it must hold one key in the form of ADMIN_API_KEY.`,
  );
}
