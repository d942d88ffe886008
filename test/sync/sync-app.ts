import { setTimeout as wait } from 'node:timers/promises';
import { expect } from '@jest/globals';
import { control, type TestApp, type UntypedData } from '../support/app.ts';
import { call } from '../support/sandbox-call.ts';

export const crm = { baseId: 'appABC123', tableId: 'tblDEF456' };

const fields = `id state pausedBecause problem asOf table direction isOwnTable driftFound lastReconciledAt parkedCount
  columns { fieldId fieldName fieldType column columnType goneAt }
  parked(first: 1000) { nodes { recordId isDeletion code message column constraint } }
  progress { phase recordsDone recordsExpected timeLeftMs upstreamCalls backlog asOf }`;

/** Whoever answers GraphQL. */
export type Server = Pick<TestApp, 'graphql'>;

/** Runs one mutation of a sync. @returns its result, a typed error included */
export async function mutate(app: Server, name: string, input: object): Promise<UntypedData> {
  const type = `${name[0]?.toUpperCase()}${name.slice(1)}`;
  const success = name === 'deleteSync' ? 'id' : `sync { ${fields} }`;
  const answer = await app.graphql(
    `mutation ($input: ${type}Input!) { ${name}(input: $input) {
       __typename ... on ${type}Success { ${success} } ... on Error { code message } ... on InvalidInputError { faults { path message } }
     } }`,
    { input },
  );
  if (!answer.data?.[name]) throw new Error(`${name} failed: ${JSON.stringify(answer)}`);
  return answer.data[name];
}

/** Makes a sync of the contacts. @returns it, or the typed error */
export async function createSync(app: Server, connection: number, more: object = {}): Promise<UntypedData> {
  const made = await mutate(app, 'createSync', { connection, ...crm, ...more });
  return made.sync ?? made;
}

export async function readSync(app: Server, id: string): Promise<UntypedData> {
  const answer = await app.graphql(`query ($id: String!) { sync(id: $id) { ${fields} } }`, { id });
  return answer.data?.sync;
}

const patienceMs = 30_000;

/** Waits for a condition. @returns what it gave */
export async function until<T>(
  ask: () => Promise<T | null | undefined | false>,
  what: string,
  timeoutMs = patienceMs,
): Promise<T> {
  const end = Date.now() + timeoutMs;
  for (;;) {
    const value = await ask();
    if (value) return value;
    if (Date.now() > end) throw new Error(`It did not come to be that ${what}.`);
    await wait(20);
  }
}

/** Waits until a sync has everything that the upstream has now. */
export async function settled(app: Server, id: string, timeoutMs = patienceMs): Promise<UntypedData> {
  const since = new Date().toISOString();
  // Where nothing changes, nobody would ask for changes before long.
  const { database } = app as Partial<TestApp>;
  await database?.query('UPDATE webhooks SET drain_wanted_at = clock_timestamp()');
  return until(
    async () => {
      const sync = await readSync(app, id);
      return sync?.state === 'LIVE' && sync.progress.phase === 'LIVE' && sync.asOf > since && sync;
    },
    `the sync ${id} is in step`,
    timeoutMs,
  );
}

interface Place {
  baseId: string;
  tableId: string;
}

let token: { url: string; token: string } | null = null;

/** All records of a table as the sandbox tells them, by id. */
export async function upstreamRecords(
  sandboxUrl: string,
  { baseId, tableId }: Place = crm,
): Promise<Map<string, { createdTime: string; fields: Record<string, unknown> }>> {
  if (token?.url !== sandboxUrl)
    token = { url: sandboxUrl, token: (await control(sandboxUrl, 'tokens', {})).token };
  const records = new Map<string, { createdTime: string; fields: Record<string, unknown> }>();
  for (let offset = ''; ;) {
    const path = `/v0/${baseId}/${tableId}?returnFieldsByFieldId=true&pageSize=100&offset=${encodeURIComponent(offset)}`;
    const { status, body } = await call(sandboxUrl, 'GET', path, { token: token.token });
    if (status === 429) {
      await wait(1_100);
      continue;
    }
    const page = body as UntypedData;
    for (const record of page.records) records.set(record.id, record);
    if (!page.offset) return records;
    offset = page.offset;
  }
}

/** Holds a table that was made for a sync against the sandbox, record by record, value by value. */
export async function expectEqual(
  app: { sandbox: { url: string }; database: TestApp['database'] },
  sync: UntypedData,
  place: Place = crm,
): Promise<number> {
  const records = await upstreamRecords(app.sandbox.url, place);
  const rows = await app.database.query(
    `SELECT to_jsonb(t) AS row FROM ${sync.table} AS t WHERE _calendly_id IS NOT NULL`,
  );
  const byId = new Map(rows.map(({ row }: UntypedData) => [row._calendly_id, row]));
  const differing: string[] = [];
  for (const [id, record] of records) {
    const row = byId.get(id);
    for (const { fieldId, column, columnType, goneAt } of sync.columns) {
      if (goneAt !== null) continue;
      if (!row || !sameValue(columnType, record.fields[fieldId], row[column]))
        differing.push(
          `${id} ${column}: ${JSON.stringify(record.fields[fieldId])} ${JSON.stringify(row?.[column])}`,
        );
    }
  }
  for (const id of byId.keys()) if (!records.has(String(id))) differing.push(`${id} is too many`);
  expect(differing.slice(0, 5)).toEqual([]);
  const [copied] = await app.database.query(
    'SELECT count(*)::int AS count FROM copied_records WHERE sync_id = $1',
    [sync.id],
  );
  expect(copied?.['count']).toBe(records.size);
  return records.size;
}

/** Whether a column says what a cell says; written from the documentation of columns, not from the code. */
function sameValue(columnType: string, cell: UntypedData, value: UntypedData): boolean {
  switch (columnType) {
    case 'boolean':
      return value === (cell ?? false);
    case 'text[]':
      return JSON.stringify(value) === JSON.stringify(cell ?? []);
    case 'timestamp with time zone':
      return cell === undefined ? value === null : Date.parse(cell) === Date.parse(value);
    case 'jsonb':
      return cell === undefined || JSON.stringify(cell).includes('"url"') || isSpecial(cell)
        ? true
        : canonical(cell) === canonical(value);
    default:
      return cell === undefined || isSpecial(cell) ? value === null : value === cell;
  }
}

function isSpecial(cell: UntypedData): boolean {
  return typeof cell === 'object' && !Array.isArray(cell) && ('error' in cell || 'specialValue' in cell);
}

function canonical(value: UntypedData): string {
  return JSON.stringify(value, (_key, inner: UntypedData) =>
    inner && typeof inner === 'object' && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
}

/** A person edits the contacts in the service's own pages. @returns ids of what was created */
export async function edit(app: { sandbox: { url: string } }, what: object): Promise<string[]> {
  return (await control(app.sandbox.url, 'edits', { ...crm, ...what })).created ?? [];
}
