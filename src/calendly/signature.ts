import { createHmac, timingSafeEqual } from 'node:crypto';

const headerPattern = /^hmac-sha256=([0-9a-f]{64})$/;

/**
 * Whether a ping carries the MAC of its own bytes. The comparison takes the same time for every wrong MAC. The signature
 * has no timestamp: an old ping passes again, which is harmless because a ping only says "look".
 *
 * @param rawBody the bytes as they came, before any parsing
 * @param header the value of X-Airtable-Content-MAC
 * @param secret the webhook's secret, decoded from base64
 */
export function verifyMac(rawBody: Buffer, header: string | undefined, secret: Buffer): boolean {
  const given = headerPattern.exec(header ?? '')?.[1];
  if (given === undefined || secret.length === 0) return false;
  const expected = createHmac('sha256', secret).update(rawBody).digest();
  return timingSafeEqual(Buffer.from(given, 'hex'), expected);
}
