import { createHmac } from 'node:crypto';

/** The value of `X-Airtable-Content-MAC`: HMAC-SHA256 over the raw body, keyed with the decoded secret, in lower-case hex. */
export function contentMac(macSecretBase64: string, body: string): string {
  const key = Buffer.from(macSecretBase64, 'base64');
  return `hmac-sha256=${createHmac('sha256', key).update(body).digest('hex')}`;
}
