import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { control, startTestApp, type TestApp } from '../support/app.ts';
import { clearFaults, crm } from './crm.ts';

let app: TestApp;
let connection: number;
let made = 0;
beforeAll(async () => {
  app = await startTestApp();
  connection = await app.connect();
});
afterEach(() => clearFaults(app));
afterAll(() => app.close());

const kinds = {
  create: { field: 'createRecords', method: 'POST' },
  update: { field: 'updateRecords', method: 'PATCH' },
  upsert: { field: 'upsertRecords', method: 'PATCH' },
  delete: { field: 'deleteRecords', method: 'DELETE' },
} as const;
type Kind = keyof typeof kinds;

async function send(kind: Kind, input: object, headers: Record<string, string> = {}) {
  const { field } = kinds[kind];
  const type = `${field[0]!.toUpperCase()}${field.slice(1)}`;
  const answer = await app.graphql(
    `mutation ($input: ${type}Input!) { ${field}(input: $input) { ... on Error { message } ... on ${type}Success { results { status recordId error { code } } } } }`,
    { input: { connection, baseId: crm, tableId: 'Contacts', ...input } },
    { headers },
  );
  expect(answer.errors).toBeUndefined();
  return answer.data[field].results as {
    status: string;
    recordId: string | null;
    error: { code: string } | null;
  }[];
}

async function effectsAfter(sequence: number): Promise<number> {
  const { changes } = await control<{ changes: { tableId: string }[] }>(
    app.sandbox.url,
    `changes?after=${sequence}`,
  );
  return changes.filter(({ tableId }) => tableId === 'tblDEF456').length;
}

async function lastSequence(): Promise<number> {
  const { changes } = await control<{ changes: { sequence: number }[] }>(app.sandbox.url, 'changes');
  return changes.at(-1)?.sequence ?? 0;
}

async function inputOf(kind: Kind): Promise<object> {
  made += 1;
  const fields = { Name: `Faulty ${made}`, Email: `${made}@faulty.test` };
  if (kind === 'create') return { records: [{ fields }] };
  if (kind === 'upsert') return { fieldsToMergeOn: ['Email'], records: [{ fields }] };
  const [existing] = await send('create', { records: [{ fields }] });
  const id = existing!.recordId;
  return kind === 'delete' ? { ids: [id] } : { records: [{ id, fields: { Name: `Changed ${made}` } }] };
}

const faults = [
  ['500', { kind: 'status', status: 500 }],
  ['503', { kind: 'status', status: 503 }],
  ['429', { kind: 'status', status: 429 }],
  ['timeout', { kind: 'timeout' }],
  ['reset', { kind: 'reset' }],
  ['malformed', { kind: 'malformed' }],
] as const;
// A 429 is a refusal: one that took effect all the same would be a lie that no client can see through.
const cases = (Object.keys(kinds) as Kind[]).flatMap((kind) =>
  faults.flatMap(([name, fault]) =>
    (name === '429' ? (['before'] as const) : (['before', 'after'] as const)).map((effect) => ({
      kind,
      name,
      effect,
      fault,
    })),
  ),
);

test.each(cases)(
  '$kind, $name $effect its effect: told truly, and done once at most',
  async ({ kind, name, effect, fault }) => {
    const input = await inputOf(kind);
    const begun = await lastSequence();
    await control(app.sandbox.url, 'faults', {
      match: { method: kinds[kind].method, path: `/v0/${crm}/tblDEF456` },
      times: 1,
      effect,
      ...fault,
    });
    const [result] = await send(kind, input, name === 'timeout' ? { 'x-deadline-ms': '250' } : {});
    const count = await effectsAfter(begun);
    const repeatable = kind === 'update' || kind === 'delete';
    const told = result!.status;
    if (name === '429') expect({ told, count }).toEqual({ told: 'WRITTEN', count: 1 });
    else if (told === 'WRITTEN') expect(count).toBe(1);
    else if (told === 'OUTCOME_UNKNOWN') expect(count).toBe(effect === 'after' ? 1 : 0);
    else expect({ told, count: 0 }).toEqual({ told, count });
    if (!repeatable && name !== '429') expect(told).toBe('OUTCOME_UNKNOWN');
    if (repeatable && ['503', 'reset'].includes(name)) expect(told).toBe('WRITTEN');
  },
);
