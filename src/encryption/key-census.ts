import { envelopePlaces, keyIdOf } from './envelope-places.ts';

export type Query = <Row>(text: string, parameters?: unknown[]) => Promise<Row[]>;

/** How many envelopes stand in one column under one key. */
export interface KeyCount {
  table: string;
  column: string;
  /** Null for what is no envelope. */
  keyId: string | null;
  count: number;
}

/** Counts all envelopes by column and key, without opening any. */
export async function countByKey(query: Query): Promise<KeyCount[]> {
  const counts = envelopePlaces.map(
    ({ table, column }) =>
      `SELECT '${table}' AS "table", '${column}' AS "column", ${keyIdOf(column)} AS "keyId", count(*)::integer AS count
       FROM ${table} WHERE ${column} IS NOT NULL GROUP BY 3`,
  );
  return query<KeyCount>(`${counts.join('\nUNION ALL ')}\nORDER BY 1, 2, 3`);
}

/** Envelopes that don't stand under the given key. */
export function countOthers(counts: KeyCount[], keyId: string): number {
  return sum(counts.filter((entry) => entry.keyId !== keyId));
}

export function sum(counts: KeyCount[]): number {
  return counts.reduce((total, { count }) => total + count, 0);
}
