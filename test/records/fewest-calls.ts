import type { UntypedData } from '../support/app.ts';

/** Ids by table that one level of an operation looks up; the key is a word of the test for the table. */
export type Level = Record<string, Iterable<string> | undefined>;

export interface Operation {
  document: string;
  variables?: object;
  /** How many of it are sent at once. */
  times?: number;
  /** Bases whose structure it has to know. */
  bases: string[];
  /** Rows that each of its listings gives; those of a filter or search as the answer tells. */
  pages?: (answer: UntypedData) => number[];
  levels?: Level[];
  /** Records by kind of write, each entry one field of the mutation. */
  writes?: { endpoint: string; records: number }[];
  /** Codes of the errors in the answer, if there are to be any. */
  errors?: string[];
}

/** What no client of the upstream could do in fewer calls: every id once, a hundred per call, ten per write. */
export function fewestCalls(operation: Operation, answer: UntypedData): Record<string, number> {
  const calls: Record<string, number> = {};
  const add = (endpoint: string, count: number): void => {
    if (count > 0) calls[endpoint] = (calls[endpoint] ?? 0) + count;
  };
  add('getBaseSchema', new Set(operation.bases).size);
  for (const rows of operation.pages?.(answer) ?? []) add('listRecords', Math.max(1, Math.ceil(rows / 100)));
  const known = new Map<string, Set<string>>();
  for (const level of operation.levels ?? []) {
    for (const [table, wanted] of Object.entries(level)) {
      const met = known.get(table) ?? new Set();
      known.set(table, met);
      const fresh = new Set([...(wanted ?? [])].filter((id) => !met.has(id)));
      add('listRecords', Math.ceil(fresh.size / 100));
      for (const id of fresh) met.add(id);
    }
  }
  for (const { endpoint, records } of operation.writes ?? []) add(endpoint, Math.ceil(records / 10));
  return calls;
}
