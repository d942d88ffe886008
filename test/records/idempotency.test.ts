import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import pg from 'pg';
import { control, startTestApp, type TestApp } from '../support/app.ts';
import { until } from '../support/ping-receiver.ts';
import { createWebhook } from '../webhooks/operations.ts';
import { clearFaults, countCalls, crm } from './crm.ts';

let app: TestApp;
let other: TestApp;
let connection: number;
let now = Date.now();
const day = 24 * 60 * 60_000;

beforeAll(async () => {
  app = await startTestApp({ clock: { now: () => now + (Date.now() - startedAt) } });
  other = await app.another();
  connection = await app.connect();
});
const startedAt = now;
afterEach(() => clearFaults(app));
afterAll(async () => {
  await other.close();
  await app.close();
});

const selection =
  'replayed written upstreamCalls results { status effect recordId record { text(field: "Name") } error { code message } }';
const document = (field: string) => {
  const type = `${field[0]!.toUpperCase()}${field.slice(1)}`;
  return `mutation ($input: ${type}Input!) { ${field}(input: $input) { __typename ... on Error { code message } ... on ${type}Success { ${selection} } } }`;
};

async function send(
  input: object,
  { field = 'createRecords', through = app, key }: { field?: string; through?: TestApp; key?: string } = {},
) {
  const answer = await through.graphql(
    document(field),
    { input: { connection, baseId: crm, tableId: 'Contacts', ...input } },
    key === undefined ? {} : { key },
  );
  return { ...answer.data?.[field], errors: answer.errors };
}

const records = (...names: string[]) => names.map((Name) => ({ fields: { Name } }));
const statuses = ({ results }: { results: { status: string }[] }) => results.map(({ status }) => status);

/** How many records of that name the upstream's ledger saw come to life. */
async function created(name: string): Promise<number> {
  const answer = await app.graphql(
    `query ($c: Int!) { base(connection: $c, baseId: "${crm}") { table(id: "Contacts") { records(formula: "{Name} = '${name}'") { nodes { id } } } } }`,
    { c: connection },
  );
  return answer.data.base.table.records.nodes.length;
}

const loseAnswer = (method: string, more: object = {}) =>
  control(app.sandbox.url, 'faults', {
    match: { method, path: `/v0/${crm}/tblDEF456` },
    times: 1,
    kind: 'reset',
    effect: 'after',
    ...more,
  });

test('twenty at once with one key, on two instances, have one effect and all get the same result', async () => {
  const input = { idempotencyKey: 'twenty', records: records('Twenty') };
  const { result: answers, calls } = await countCalls(app, () =>
    Promise.all(Array.from({ length: 20 }, (_, n) => send(input, { through: n % 2 ? app : other }))),
  );
  expect(calls.createRecords).toBe(1);
  const ids = new Set(answers.map(({ results }) => results[0].recordId as string));
  expect(ids.size).toBe(1);
  expect(answers.filter(({ replayed }) => !replayed)).toHaveLength(1);
  for (const answer of answers) expect(answer.results[0].record).toEqual({ text: 'Twenty' });
  expect(await created('Twenty')).toBe(1);
});

test('the same key with other input is refused; of another caller or mutation it is another key', async () => {
  const input = { idempotencyKey: 'scope', records: records('Scope') };
  const first = await send(input);
  expect(await send({ ...input, records: records('Other') })).toMatchObject({
    __typename: 'IdempotencyKeyReusedError',
    code: 'IDEMPOTENCY_KEY_REUSED',
  });
  const editor = await app.app.keys.create('Another', 'editor');
  expect(await send(input, { key: editor })).toMatchObject({ replayed: false, written: 1 });
  const id: string = first.results[0].recordId;
  expect(await send({ idempotencyKey: 'scope', ids: [id] }, { field: 'deleteRecords' })).toMatchObject({
    replayed: false,
    written: 1,
  });
  expect(await send({ idempotencyKey: 'scope', ids: [id] }, { field: 'deleteRecords' })).toMatchObject({
    replayed: true,
    results: [{ status: 'WRITTEN', effect: 'DELETED', recordId: id, record: null }],
  });
  expect(await send(input)).toMatchObject({ replayed: true, results: [{ status: 'WRITTEN', record: null }] });
});

test('the order of cells does not make it another input', async () => {
  const first = { idempotencyKey: 'order', records: [{ fields: { Name: 'Order', Email: 'o@x.test' } }] };
  const again = { idempotencyKey: 'order', records: [{ fields: { Email: 'o@x.test', Name: 'Order' } }] };
  await send(first);
  expect(await send(again)).toMatchObject({ replayed: true, written: 1 });
});

test('a key is forgotten after a day, and its rows with it', async () => {
  const input = { idempotencyKey: 'day', records: records('Daily') };
  await send(input);
  now += day - 60_000;
  expect(await send(input)).toMatchObject({ replayed: true });
  now += 2 * 60_000;
  expect(await send(input)).toMatchObject({ replayed: false, written: 1 });
  expect(await created('Daily')).toBe(2);
  now += 2 * day;
  await app.app.recordWrites.prune();
  expect(
    await app.database.query('SELECT 1 FROM write_operations UNION ALL SELECT 1 FROM write_tens'),
  ).toEqual([]);
  now = startedAt;
});

test('a write that is forgotten while it is told again is not told as one that was never sent', async () => {
  const input = { idempotencyKey: 'forgotten', records: records('Forgotten') };
  await send(input);
  const pruning = new pg.Client({ connectionString: app.database.url });
  await pruning.connect();
  try {
    await pruning.query('BEGIN');
    await pruning.query('LOCK TABLE write_tens');
    const again = send(input);
    await until('the second attempt', async () => {
      const waiting = await app.database.query(
        `SELECT 1 FROM pg_locks WHERE relation = 'write_tens'::regclass AND NOT granted
           AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`,
      );
      return waiting.length > 0;
    });
    await pruning.query('DELETE FROM write_operations');
    await pruning.query('COMMIT');
    expect(await again).toMatchObject({ replayed: false, written: 1 });
  } finally {
    await pruning.end();
  }
});

test('a write of which nothing was sent leaves its key free', async () => {
  const answer = await send({ idempotencyKey: 'free', records: [{ fields: { Score: 'high' } }] });
  expect(statuses(answer)).toEqual(['FAILED']);
  expect(await send({ idempotencyKey: 'free', tableId: 'Contcats', records: records('x') })).toMatchObject({
    errors: [{ extensions: { code: 'TABLE_NOT_FOUND' } }],
  });
  expect(await send({ idempotencyKey: 'free', records: records('Free') })).toMatchObject({ written: 1 });
});

test.each([
  ['empty', ''],
  ['no ASCII', 'é'],
  ['longer than 255 characters', 'x'.repeat(256)],
])('a key that is %s is refused', async (_, idempotencyKey) => {
  expect(await send({ idempotencyKey, records: records('x') })).toMatchObject({
    __typename: 'InvalidInputError',
  });
});

test('what was told of each record is told again: faults, refusals, what was written', async () => {
  const input = {
    idempotencyKey: 'mixed',
    records: [
      ...Array.from({ length: 10 }, (_, n) => ({ fields: { Name: `Mixed ${n}` } })),
      { fields: { Company: ['recNobodyHasThis1'] } },
      { fields: { Nmae: 'x' } },
    ],
  };
  const first = await send(input);
  expect(statuses(first)).toEqual([...Array.from({ length: 10 }, () => 'WRITTEN'), 'FAILED', 'FAILED']);
  const { result: again, calls } = await countCalls(app, () => send(input));
  expect(again.results).toEqual(first.results);
  expect(calls).toEqual({ listRecords: 1 });
});

test.each(['before', 'after'] as const)(
  'a creation whose answer is lost %s its effect stays unknown, and is never sent again',
  async (effect) => {
    const input = { idempotencyKey: `lost ${effect}`, records: records(`Lost ${effect}`) };
    await loseAnswer('POST', { effect });
    const { calls } = await countCalls(app, async () => {
      expect(statuses(await send(input))).toEqual(['OUTCOME_UNKNOWN']);
      expect(statuses(await send(input, { through: other }))).toEqual(['OUTCOME_UNKNOWN']);
    });
    expect(calls.createRecords).toBe(1);
    expect(await created(`Lost ${effect}`)).toBe(effect === 'after' ? 1 : 0);
  },
);

test('a write whose instance died is unknown where it was sending, and not sent where it was not', async () => {
  const input = {
    idempotencyKey: 'died',
    records: Array.from({ length: 25 }, (_, n) => ({ fields: { Name: `Died ${n}` } })),
  };
  await send(input);
  // What the rows look like when the process ends while it waits for the answer to its second ten.
  await app.database.query(
    `WITH operation AS (
       UPDATE write_operations SET finished_at = NULL, lease_until = now() - interval '1 second'
       WHERE id = (SELECT id FROM write_operations ORDER BY created_at DESC LIMIT 1) RETURNING id
     ), last AS (DELETE FROM write_tens USING operation WHERE operation_id = id AND ordinal = 2)
     UPDATE write_tens SET state = 'SENDING' FROM operation WHERE operation_id = id AND ordinal = 1`,
  );
  const { result: again, calls } = await countCalls(app, () => send(input, { through: other }));
  expect(
    statuses(again)
      .join(' ')
      .replace(/(\w+)( \1)*/g, '$1'),
  ).toBe('WRITTEN OUTCOME_UNKNOWN NOT_SENT');
  expect(calls.createRecords).toBeUndefined();
});

test('what waits for its turn while others give the write up never leaves', async () => {
  const patient = await app.another({ rateLimit: { calls: 1_000, windowMs: 100, penaltyMs: 2_000 } });
  try {
    const limited = { match: { method: 'POST', path: `/v0/${crm}/tblDEF456` }, kind: 'status', status: 429 };
    await control(app.sandbox.url, 'faults', { ...limited, times: 1, effect: 'before' });
    const { result: answer, calls } = await countCalls(app, async () => {
      const write = { idempotencyKey: 'stood still', records: records('Still') };
      const sending = send(write, { through: patient });
      await until('the rest after the 429', async () => {
        const { byEndpoint } = await control(app.sandbox.url, 'calls');
        return (byEndpoint.createRecords ?? 0) > 0;
      });
      await app.database.query('UPDATE write_operations SET finished_at = now() WHERE finished_at IS NULL');
      await patient.app.recordWrites.renew();
      return sending;
    });
    expect(statuses(answer)).toEqual(['NOT_SENT']);
    expect(calls.createRecords).toBe(1);
  } finally {
    await patient.close();
  }
});

test('an unknown creation is settled by the change log where it shows exactly one like it', async () => {
  await createWebhook(app, connection);
  const input = (name: string) => ({
    idempotencyKey: name,
    records: [{ fields: { Name: name, Tags: ['Press', 'Partner'], VIP: true, Score: 7 } }],
  });
  const logged = async (name: string, count: number) => {
    for (;;) {
      const rows = await app.database.query(
        `SELECT 1 FROM changes WHERE kind = 'created' AND cells::text LIKE '%' || $1 || '%'`,
        [name],
      );
      if (rows.length >= count) return;
    }
  };
  await loseAnswer('POST');
  expect(statuses(await send(input('Settled')))).toEqual(['OUTCOME_UNKNOWN']);
  // What stays when the outcome could not be stored.
  await app.database.query(`UPDATE write_tens SET state = 'SENDING' WHERE state = 'OUTCOME_UNKNOWN'`);
  await logged('Settled', 1);
  const settled = await send(input('Settled'), { through: other });
  expect(settled).toMatchObject({
    replayed: true,
    results: [{ status: 'WRITTEN', effect: 'CREATED', record: { text: 'Settled' }, error: null }],
  });

  // Another write claims the only creation: the one that never happened stays unknown.
  await loseAnswer('POST', { effect: 'before' });
  expect(statuses(await send(input('Claimed')))).toEqual(['OUTCOME_UNKNOWN']);
  await send({ ...input('Claimed'), idempotencyKey: 'claims it' });
  await logged('Claimed', 1);
  expect(statuses(await send(input('Claimed')))).toEqual(['OUTCOME_UNKNOWN']);

  // Another write made the only creation, and has not heard of it yet.
  await loseAnswer('POST', { effect: 'before' });
  expect(statuses(await send(input('Awaited')))).toEqual(['OUTCOME_UNKNOWN']);
  await loseAnswer('POST', { kind: 'delay', delayMs: 1_500 });
  const awaiting = send({ ...input('Awaited'), idempotencyKey: 'awaits it' });
  await logged('Awaited', 1);
  expect(statuses(await send(input('Awaited')))).toEqual(['OUTCOME_UNKNOWN']);
  expect(statuses(await awaiting)).toEqual(['WRITTEN']);

  // One creation, and two writes that got no answer, either of which could have made it.
  await loseAnswer('POST', { effect: 'before' });
  expect(statuses(await send(input('Either')))).toEqual(['OUTCOME_UNKNOWN']);
  await loseAnswer('POST');
  const either = { ...input('Either'), idempotencyKey: 'either' };
  expect(statuses(await send(either))).toEqual(['OUTCOME_UNKNOWN']);
  await logged('Either', 1);
  expect(statuses(await send(input('Either')))).toEqual(['OUTCOME_UNKNOWN']);
  expect(statuses(await send(either))).toEqual(['OUTCOME_UNKNOWN']);

  // Two alike, either of which could be ours.
  await loseAnswer('POST');
  expect(statuses(await send(input('Twins')))).toEqual(['OUTCOME_UNKNOWN']);
  await loseAnswer('POST');
  await send({ ...input('Twins'), idempotencyKey: 'the other twin' });
  await logged('Twins', 2);
  expect(statuses(await send(input('Twins')))).toEqual(['OUTCOME_UNKNOWN']);
});

test('nothing of the cells is stored', async () => {
  await send({ idempotencyKey: 'private', records: records('A very private name') });
  const rows = await app.database.query(
    `SELECT operation::text || ten::text AS text FROM write_operations AS operation JOIN write_tens AS ten ON operation_id = id`,
  );
  expect(rows.length).toBeGreaterThan(0);
  expect(JSON.stringify(rows)).not.toMatch(/very private/);
});

test('who waits for the first write with its key waits no longer than its own deadline', async () => {
  await loseAnswer('POST', { kind: 'delay', delayMs: 1_500 });
  const input = {
    connection,
    baseId: crm,
    tableId: 'Contacts',
    idempotencyKey: 'slow',
    records: records('Slow'),
  };
  const { calls } = await countCalls(app, async () => {
    const first = send(input);
    for (;;) {
      const { byEndpoint } = await control(app.sandbox.url, 'calls');
      if (byEndpoint.createRecords) break;
    }
    const hurried = await other.graphql(
      document('createRecords'),
      { input },
      { headers: { 'x-deadline-ms': '300' } },
    );
    expect(hurried.errors).toMatchObject([{ extensions: { code: 'DEADLINE_EXCEEDED' } }]);
    expect(await first).toMatchObject({ written: 1 });
  });
  expect(calls.createRecords).toBe(1);
});
