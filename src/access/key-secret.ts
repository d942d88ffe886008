import { hash, randomBytes } from 'node:crypto';

/** 256 random bits: nothing to guess, so a plain SHA-256 at rest is enough and a lookup is one indexed read. */
const secretBytes = 32;

/** Longest bearer text that is hashed at all; ours have some 50 characters. */
export const maxKeyLength = 200;

export function newSecret(): string {
  return randomBytes(secretBytes).toString('base64url');
}

/** All that is stored of a key or a code. */
export function hashOf(secret: string): Buffer {
  return hash('sha256', secret, 'buffer');
}
