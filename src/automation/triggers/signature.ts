import { createHmac, randomBytes } from 'node:crypto';

/*
 * Signatures by the Standard Webhooks specification, version v1: HMAC-SHA256 over `id.timestamp.body` with the bytes that
 * the secret holds in base64 behind `whsec_`.
 */

const prefix = 'whsec_';
/** The specification asks for 24 to 64. */
const secretBytes = 32;

export function newSecret(): string {
  return prefix + randomBytes(secretBytes).toString('base64');
}

/** @param secrets the newest first; a receiver takes the message if it knows any of them */
export function signedHeaders(
  message: { id: string; at: Date; body: string },
  secrets: readonly string[],
): Record<string, string> {
  const timestamp = String(Math.floor(message.at.getTime() / 1_000));
  const signed = `${message.id}.${timestamp}.${message.body}`;
  const signatures = secrets.map((secret) => {
    const key = Buffer.from(secret.slice(prefix.length), 'base64');
    return `v1,${createHmac('sha256', key).update(signed).digest('base64')}`;
  });
  return {
    'webhook-id': message.id,
    'webhook-timestamp': timestamp,
    'webhook-signature': signatures.join(' '),
  };
}
