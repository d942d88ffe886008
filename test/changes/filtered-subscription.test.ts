import { afterAll, afterEach, beforeAll, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { RecordFilter } from '../../src/records/filters/filter.ts';
import { control, startTestApp, type TestApp } from '../support/app.ts';
import { repeats } from '../support/repeats.ts';
import { ask } from '../webhooks/operations.ts';
import { Subscriber, until } from './subscriber.ts';
import { addContacts, countCalls, crm, edit, told } from './upstream-edits.ts';

let app: TestApp;
let connection: number;
let open: Subscriber[] = [];

beforeAll(async () => {
  app = await startTestApp();
  connection = await app.connect();
});
afterAll(() => app.close());
afterEach(async () => {
  await Promise.all(open.map((subscriber) => subscriber.cut()));
  open = [];
});

function subscribe(variables: object, at: TestApp = app): Subscriber {
  const subscriber = new Subscriber(at, {
    connection,
    baseId: crm.baseId,
    tableId: 'Contacts',
    ...variables,
  });
  open.push(subscriber);
  return subscriber;
}

/** What a subscriber is refused with. */
async function refusal(variables: object): Promise<{ code?: string; message: string }> {
  const refused = subscribe(variables);
  await until(() => refused.errors.length > 0);
  return { code: refused.errors[0]?.extensions?.code, message: refused.errors[0]?.message ?? '' };
}

async function make(fields: object, tableId: string = crm.tableId): Promise<string> {
  const { created } = await control<{ created: string[] }>(app.sandbox.url, 'edits', {
    ...crm,
    tableId,
    create: [{ fields }],
  });
  return created[0]!;
}
const set = (id: string, fields: object) => edit(app, { update: [{ id, fields }] });
const lines = (subscriber: Subscriber) =>
  subscriber.changes.map((change) => `${told([change])[0]}${change.leftFilter ? ' left' : ''}`);

/** A change that every filter lets through, to wait for. */
async function settle(...subscribers: Subscriber[]): Promise<void> {
  const id = await make({ Name: 'Mark' });
  await edit(app, { destroy: [id] });
  await until(() => subscribers.every((one) => one.changes.some(({ recordId }) => recordId === id)));
  for (const one of subscribers)
    one.events.splice(0, one.events.length, ...one.events.filter(({ recordId }) => recordId !== id));
}

it('tells records that pass, each that leaves once, and deletions, to whoever listens and whoever comes back', async () => {
  const filter = {
    and: [
      { field: 'Status', eq: 'Active' },
      { field: 'Score', gte: 10 },
    ],
  };
  const live = await subscribe({ filter }).started();
  const start = live.cursor;
  const passing = await make({ Name: 'In', Status: 'Active', Score: 10 });
  const other = await make({ Name: 'Out', Status: 'Lead', Score: 50 });
  await set(passing, { Name: 'Still in' });
  await set(other, { Name: 'Still out' });
  await set(passing, { Score: 9 });
  await set(passing, { Score: 8 });
  await set(other, { Status: 'Active' });
  await edit(app, { destroy: [passing, other] });
  await settle(live);
  const deleted = [passing, other].sort().map((id) => `deleted ${id}`);
  const wanted = [
    ...[`created ${passing}`, `updated ${passing}`, `updated ${passing} left`, `updated ${other}`],
    ...deleted,
  ];
  expect(lines(live)).toEqual(wanted);

  const instance = await app.another();
  try {
    const late = await subscribe({ filter, after: start }, instance).started();
    await until(() => late.changes.length >= wanted.length);
    expect(lines(late).slice(0, wanted.length)).toEqual(wanted);
    // Cut anywhere, and come back with the last cursor: no change is told twice, leaving neither.
    for (const [index, { cursor }] of live.changes.entries()) {
      const rest = await subscribe({ filter, after: cursor }, instance).started();
      await until(() => rest.changes.length >= wanted.length - index - 1);
      expect(lines(rest).slice(0, wanted.length - index - 1)).toEqual(wanted.slice(index + 1));
    }
    await Promise.all(open.splice(1).map((subscriber) => subscriber.cut()));
  } finally {
    await instance.close();
  }
});

it('keeps a set equal to a listing with the same filter, whatever is edited', async () => {
  const { base } = await ask<{ base: { table: { records: { nodes: { id: string }[] } } } }>(
    app,
    `query ($c: Int!) { base(connection: $c, baseId: "appABC123") { table(id: "Companies") { records(first: 2) { nodes { id } } } } }`,
    { c: connection },
  );
  const companies = base.table.records.nodes.map(({ id }) => id);
  const mine = await Promise.all(['A', 'B', 'C'].map((Name) => make({ Name, Notes: 'mine' })));
  const conditions: RecordFilter[] = [
    { field: 'Status', in: ['Active', 'Lead'] },
    { field: 'Name', startsWith: 'b', ignoreCase: true },
    { field: 'Tags', hasAny: ['Partner', 'Press'] },
    { not: { field: 'Score', gt: 20 } },
    { field: 'Score', isEmpty: true },
    { field: 'VIP', eq: true },
    { field: 'Birthday', before: '1990-01-01' },
    { field: 'Last contacted', gte: '2026-01-01', timeZone: 'Europe/Paris' },
    { field: 'Company', hasRecord: companies[0]! },
  ];
  // Of our own records: the seeded ones would fill pages.
  const filterOf = (parts: RecordFilter[]): RecordFilter => ({
    and: [{ field: 'Notes', eq: 'mine' }, { or: parts }],
  });
  const cells = fc.record(
    {
      Name: fc.constantFrom('Ada', 'bob', 'Bea', null),
      Status: fc.constantFrom('Active', 'Lead', 'Churned', null),
      Tags: fc.subarray(['Partner', 'Press', 'Newsletter']),
      Score: fc.constantFrom(0, 20, 21, null),
      VIP: fc.boolean(),
      Birthday: fc.constantFrom('1989-12-31', '1990-01-01', null),
      'Last contacted': fc.constantFrom('2025-12-31T22:59:59.000Z', '2025-12-31T23:00:00.000Z', null),
      Company: fc.subarray(companies, { maxLength: 1 }),
      Notes: fc.constantFrom('mine', 'mine', 'mine', 'yours'),
    },
    { requiredKeys: [] },
  );
  const steps = fc.array(
    fc.record({
      which: fc.integer({ min: 0, max: 2 }),
      cells,
      kind: fc.constantFrom('update', 'update', 'update', 'update', 'unlink', 'replace'),
    }),
    { minLength: 4, maxLength: 12 },
  );
  const list = async (filter: RecordFilter) =>
    (
      await ask<typeof base & { base: { table: { records: { nodes: { id: string }[] } } } }>(
        app,
        `query ($c: Int!, $filter: RecordFilter) { base(connection: $c, baseId: "appABC123") { table(id: "Contacts") { records(first: 100, filter: $filter) { nodes { id } } } } }`,
        { c: connection, filter },
      )
    ).base.table.records.nodes
      .map(({ id }) => id)
      .sort();
  await control(app.sandbox.url, 'limits', { requestsPerSecond: 1_000 });
  await fc.assert(
    fc.asyncProperty(
      fc.subarray(conditions, { minLength: 1, maxLength: 3 }).map(filterOf),
      steps,
      async (filter, edits) => {
        const subscriber = await subscribe({ filter }).started();
        const kept = new Set(await list(filter));
        for (const { which, cells: fields, kind } of edits) {
          if (kind === 'replace') {
            await edit(app, { destroy: [mine[which]] });
            mine[which] = await make({ Notes: 'mine', ...fields });
          } else if (kind === 'unlink') {
            // From the other side.
            await edit(app, {
              tableId: 'Companies',
              update: [{ id: companies[0], fields: { Contacts: [] } }],
            });
          } else await set(mine[which]!, fields);
        }
        await settle(subscriber);
        for (const { kind, recordId, leftFilter } of subscriber.changes) {
          if (kind === 'DELETED' || leftFilter) kept.delete(recordId!);
          else kept.add(recordId!);
        }
        expect([...kept].sort()).toEqual(await list(filter));
        await subscriber.cut();
      },
    ),
    { numRuns: repeats({ suite: 3, long: 200 }) },
  );
});

it('is checked like the filter of a listing, and for what the log can not tell', async () => {
  expect(await refusal({ filter: { field: 'Sttaus', eq: 'Active' } })).toEqual({
    code: 'FIELD_NOT_FOUND',
    message: 'The table "Contacts" has no field "Sttaus". Did you mean "Status"?',
  });
  expect(await refusal({ filter: { field: 'Status', eq: 'Actve' } })).toMatchObject({
    code: 'INVALID_INPUT',
    message: expect.stringContaining('Did you mean "Active"?'),
  });
  expect(await refusal({ filter: { field: 'Score', contains: '1' } })).toMatchObject({
    code: 'FIELD_TYPE_MISMATCH',
  });
  expect(await refusal({ filter: { field: 'Company', eq: 'Acme' } })).toMatchObject({
    code: 'FILTER_NOT_EXACT',
  });
  for (const filter of [
    { field: 'Deal count', eq: 0 },
    { or: [{ field: 'Status', eq: 'Active' }, { not: { field: 'Label', contains: 'x' } }] },
    { field: 'Company industry', hasAny: ['Software'] },
    { field: 'Created', after: '2025-01-01T00:00:00Z' },
  ]) {
    expect(await refusal({ filter })).toMatchObject({
      code: 'FILTER_NOT_EXACT',
      message: expect.stringContaining("Changes can't be filtered by the field"),
    });
  }
  expect(await refusal({ filter: { field: 'Status', eq: 'Active' }, tableId: null })).toMatchObject({
    code: 'INVALID_INPUT',
    message: expect.stringContaining('"filter" needs "tableId"'),
  });
  expect(await refusal({ filter: { field: 'Status', eq: 'Active' }, tableId: 'Contcats' })).toMatchObject({
    code: 'TABLE_NOT_FOUND',
  });
});

it('costs no upstream call of its own', async () => {
  await subscribe({ filter: { field: 'Name', eq: 'x' } }).started();
  const before = await Promise.all(['listRecords', 'getBaseSchema'].map((name) => countCalls(app, name)));
  const subscriber = await subscribe({ filter: { field: 'Name', startsWith: 'Contact' } }).started();
  await addContacts(app, 3);
  await until(() => subscriber.changes.length === 3);
  expect(await Promise.all(['listRecords', 'getBaseSchema'].map((name) => countCalls(app, name)))).toEqual(
    before,
  );
});

it('takes a filter on a field that was made a moment ago, with two calls at most for all who come with it', async () => {
  await subscribe({ filter: { field: 'Name', eq: 'x' } }).started();
  // Without news of it, what is known of the table is some milliseconds old.
  await control(app.sandbox.url, 'pings', { drop: 1 });
  try {
    await control(app.sandbox.url, 'schema', {
      baseId: crm.baseId,
      addField: { tableId: crm.tableId, name: 'Shoe size', type: 'number' },
    });
    const calls = await countCalls(app, 'getBaseSchema');
    const filtered = Array.from({ length: 5 }, () => subscribe({ filter: { field: 'Shoe size', gt: 40 } }));
    const narrowed = Array.from({ length: 5 }, () => subscribe({ fields: ['Shoe size'] }));
    await Promise.all([...filtered, ...narrowed].map((subscriber) => subscriber.started()));
    expect((await countCalls(app, 'getBaseSchema')) - calls).toBeLessThanOrEqual(2);
  } finally {
    await control(app.sandbox.url, 'pings', { drop: 0 });
  }
});

it('follows renamed fields, and ends when a field that it looks at is deleted, also when another instance has pulled that', async () => {
  const schemaEdit = (what: object) =>
    control<{ fieldId: string }>(app.sandbox.url, 'schema', { baseId: crm.baseId, ...what });
  const place = { tableId: crm.tableId };
  const { fieldId } = await schemaEdit({ addField: { ...place, name: 'Mood', type: 'singleLineText' } });
  const instance = await app.another();
  try {
    const filter = { field: 'Mood', eq: 'good' };
    const [here, there] = await Promise.all([
      subscribe({ filter }).started(),
      subscribe({ filter }, instance).started(),
    ]);
    const unmoved = await subscribe({ filter: { field: 'Name', eq: 'x' } }).started();
    await schemaEdit({ renameField: { ...place, fieldId, name: 'Spirits' } });
    const id = await make({ Name: 'Glad', Spirits: 'good' });
    await until(() => here.changes.length === 1 && there.changes.length === 1);
    expect(told(here.changes)).toEqual([`created ${id}`]);

    await schemaEdit({ removeField: { ...place, fieldId } });
    await until(() => here.ended && there.ended);
    for (const ended of [here, there]) {
      expect(ended.errors[0]?.extensions?.code).toBe('FILTER_OUTDATED');
      expect(ended.events.at(-1)?.__typename).toBe('SchemaChange');
    }
    await until(() => unmoved.events.at(-1)?.__typename === 'SchemaChange');
    expect(unmoved.errors).toEqual([]);

    // Whichever instance kept the schema from before: nobody is let in with a field that is gone.
    for (const at of [app, instance]) {
      const back = subscribe({ filter: { field: fieldId, eq: 'good' }, after: here.cursor }, at);
      await until(() => back.errors.length > 0);
      expect(back.errors[0]?.extensions?.code).toBe('FIELD_NOT_FOUND');
    }
    // From before the deletion, with a filter that fits the table as it is now.
    const again = await subscribe({
      filter: { field: 'Name', eq: 'Glad' },
      after: here.events[0]?.cursor,
    }).started();
    await until(() => again.changes.length === 1);
    expect(again.errors).toEqual([]);
    await Promise.all(open.map((subscriber) => subscriber.cut()));
  } finally {
    await instance.close();
  }
});
