import type { SecretCipher } from '../encryption/secret-cipher.ts';

const place = { table: 'webhooks', column: 'mac_secret_envelope' };

/** The secret that the upstream shows once, as it is stored. */
export function sealedMacSecret(cipher: SecretCipher, webhookId: string, macSecretBase64: string): string {
  return cipher.seal(macSecretBase64, { ...place, row: webhookId });
}

/** @throws AppError SECRET_UNREADABLE */
export function openMacSecret(cipher: SecretCipher, webhookId: string, envelope: string): Buffer {
  return Buffer.from(cipher.open(envelope, { ...place, row: webhookId }), 'base64');
}

/** Whether the webhook's pings can be told from forged ones. */
export function isReadable(cipher: SecretCipher, webhookId: string, envelope: string | null): boolean {
  if (envelope === null) return false;
  try {
    return openMacSecret(cipher, webhookId, envelope).length > 0;
  } catch {
    return false;
  }
}
