import { sum, type KeyCount } from './key-census.ts';
import type { SecretCipher } from './secret-cipher.ts';

/** How far a rotation is, as `npm run rotate-keys -- --status --json` prints it. */
export interface KeyStatus {
  /** The first key of ENCRYPTION_KEYS, with which this command and the servers should seal. */
  sealingKey: string;
  keys: KeyUse[];
  servers: { keyId: string; servers: number }[];
}

interface KeyUse {
  /** Null for what is no envelope. */
  keyId: string | null;
  /** Whether the key is in ENCRYPTION_KEYS here; what stands under one that is not can't be decrypted. */
  known: boolean;
  secrets: number;
  /** By table and column. */
  columns: Record<string, number>;
}

/** Keys of the ring in its order, then those that are found and not in it. */
export function statusOf(counts: KeyCount[], servers: KeyStatus['servers'], cipher: SecretCipher): KeyStatus {
  const known: (string | null)[] = cipher.keyIds;
  const foreign = counts.map(({ keyId }) => keyId).filter((keyId) => !known.includes(keyId));
  return {
    sealingKey: cipher.sealingKeyId,
    keys: [...known, ...new Set(foreign)].map((keyId) => {
      const own = counts.filter((entry) => entry.keyId === keyId);
      return {
        keyId,
        known: known.includes(keyId),
        secrets: sum(own),
        columns: Object.fromEntries(own.map(({ table, column, count }) => [`${table}.${column}`, count])),
      };
    }),
    servers,
  };
}

export function renderStatus({ sealingKey, keys, servers }: KeyStatus): string {
  const width = Math.max('KEY'.length, ...keys.map(({ keyId }) => (keyId ?? noEnvelope).length));
  const lines = [`${'KEY'.padEnd(width)}  SECRETS  WHERE`];
  for (const { keyId, known, secrets, columns } of keys) {
    const remark =
      keyId === sealingKey ? 'first, encrypts' : known ? 'decrypts only' : 'NOT in ENCRYPTION_KEYS';
    const where = Object.entries(columns).map(([column, count]) => `${column} ${count}`);
    lines.push(
      `${(keyId ?? noEnvelope).padEnd(width)}  ${String(secrets).padStart('SECRETS'.length)}  ${[remark, ...where].join(', ')}`,
    );
  }
  const sealing = servers.map((server) => `${server.servers} with ${server.keyId}`).join(', ');
  lines.push('', `Servers connected now, by the key they encrypt with: ${sealing || 'none'}`);
  return `${lines.join('\n')}\n`;
}

const noEnvelope = '(none)';
