import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { environment, type EncryptionKey } from '../environment.ts';
import { AppError } from '../errors.ts';
import { keptSecret, secretFile } from './data-folder.ts';

const encryptionKeysFile = 'encryption-keys';

/** The keys that encrypt connections' secrets, made once. The file has the form of ENCRYPTION_KEYS. */
export async function keptEncryptionKeys(dataDir: string): Promise<EncryptionKey[]> {
  return readEncryptionKeys(
    dataDir,
    await keptSecret(dataDir, encryptionKeysFile, () => `local:${randomBytes(32).toString('base64')}`),
  );
}

/** The same, for a command that works on what is there: it makes none. @throws AppError when there are none */
export async function presentEncryptionKeys(dataDir: string): Promise<EncryptionKey[]> {
  const file = secretFile(dataDir, encryptionKeysFile);
  if (!existsSync(file)) {
    throw new AppError(
      'INTERNAL',
      `ENCRYPTION_KEYS is not set, and there are no keys in ${file}. Set the keys of the servers.`,
    );
  }
  return keptEncryptionKeys(dataDir);
}

function readEncryptionKeys(dataDir: string, text: string): EncryptionKey[] {
  const parsed = environment.shape.ENCRYPTION_KEYS.safeParse(text);
  if (parsed.success && parsed.data) return parsed.data;
  throw new AppError(
    'INTERNAL',
    `${secretFile(dataDir, encryptionKeysFile)} is damaged: it must hold keys in the form of ENCRYPTION_KEYS.`,
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
