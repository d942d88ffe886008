import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import type { EncryptionKey } from '../environment.ts';
import { AppError } from '../errors.ts';

/** Where an envelope stands. It is bound into the ciphertext: moved to another place, an envelope doesn't open. */
export interface SecretPlace {
  table: string;
  column: string;
  row: string;
}

const version = 'v1';
const ivBytes = 12;
const tagBytes = 16;

/** What an envelope looks like from outside. A damaged one may be anything, an open secret included, and is not quoted. */
const form = /^v1\.([A-Za-z0-9_-]{1,32})\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)$/;

/**
 * Seals secrets for the database with AES-256-GCM. An envelope reads `v1.<key id>.<iv>.<ciphertext and tag>`, the
 * last two in base64url. Version, key id and place are associated data, so none of them can be exchanged unnoticed.
 * The first key of the ring seals; every key of the ring opens.
 */
export class SecretCipher {
  readonly #keys: Map<string, Buffer>;
  readonly #sealing: EncryptionKey;

  constructor(keys: EncryptionKey[]) {
    const [first] = keys;
    if (!first) throw new Error('At least one encryption key is needed.');
    this.#sealing = first;
    this.#keys = new Map(keys.map(({ id, key }) => [id, key]));
  }

  seal(plaintext: string, place: SecretPlace): string {
    const { id, key } = this.#sealing;
    const iv = randomBytes(ivBytes);
    const cipher = createCipheriv('aes-256-gcm', key, iv);
    cipher.setAAD(associatedData(id, place));
    const sealed = Buffer.concat([cipher.update(plaintext, 'utf8'), cipher.final(), cipher.getAuthTag()]);
    return [version, id, iv.toString('base64url'), sealed.toString('base64url')].join('.');
  }

  /** The id of the key that seals. */
  get sealingKeyId(): string {
    return this.#sealing.id;
  }

  /** Ids of all keys that open. */
  get keyIds(): string[] {
    return [...this.#keys.keys()];
  }

  /** @throws AppError SECRET_UNREADABLE when the key is missing or the envelope was changed or moved. */
  open(envelope: string, place: SecretPlace): string {
    const [, id = '', ivText = '', sealedText = ''] = form.exec(envelope) ?? [];
    if (id === '') throw unreadable(place, 'it is no envelope of a form that is known here');
    const key = this.#keys.get(id);
    if (!key) throw unreadable(place, `its key "${id}" is not in ENCRYPTION_KEYS`);
    const iv = Buffer.from(ivText, 'base64url');
    const sealed = Buffer.from(sealedText, 'base64url');
    try {
      // Base64 has spellings that decode alike; only the one that was written counts as unchanged.
      if (iv.toString('base64url') !== ivText || sealed.toString('base64url') !== sealedText)
        throw new Error('not as it was written');
      const decipher = createDecipheriv('aes-256-gcm', key, iv, { authTagLength: tagBytes });
      decipher.setAAD(associatedData(id, place));
      decipher.setAuthTag(sealed.subarray(sealed.length - tagBytes));
      return Buffer.concat([
        decipher.update(sealed.subarray(0, sealed.length - tagBytes)),
        decipher.final(),
      ]).toString('utf8');
    } catch {
      throw unreadable(place, 'it was changed, moved, or sealed with another key of the same id');
    }
  }
}

function associatedData(keyId: string, place: SecretPlace): Buffer {
  return Buffer.from(JSON.stringify([version, keyId, place.table, place.column, place.row]));
}

function unreadable(place: SecretPlace, why: string): AppError {
  return new AppError(
    'SECRET_UNREADABLE',
    `A stored secret (${place.table}.${place.column}, row ${place.row}) can't be decrypted: ${why}. Put the missing key back and restart, or enter the credentials again.`,
    { details: { table: place.table, column: place.column, row: place.row } },
  );
}
