import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { addContacts, edit, ledger, ledgerEnd } from '../../changes/upstream-edits.ts';
import { control, startTestApp, type TestApp } from '../../support/app.ts';
import { until } from '../../support/ping-receiver.ts';
import { contacts, lookNow, mutate, triggerOf } from './operations.ts';

let app: TestApp;
let connection: number;
/** What happened in the base before the test. */
let before: number;

beforeAll(async () => {
  app = await startTestApp();
  connection = await app.connect();
});
afterAll(() => app.close());
beforeEach(async () => {
  before = await ledgerEnd(app);
});
afterEach(async () => {
  await fetch(`${app.sandbox.url}/_control/faults`, { method: 'DELETE' });
  await app.database.query('DELETE FROM triggers');
});

const update = (recordId: unknown, fields: object) => ({
  action: 'calendly.updateRecord',
  connection,
  config: { ...contacts, recordId, fields },
});
const create = (fields: object) => ({
  action: 'calendly.createRecord',
  connection,
  config: { ...contacts, fields },
});
const self = { $record: 'id' };

async function createTrigger(action: object, rest: object = {}): Promise<string> {
  const { trigger, secret } = await mutate(
    app,
    'createTrigger',
    { name: 'Acts', connection, ...contacts, action, ...rest },
    'secret trigger { id }',
  );
  expect(secret).toBeNull();
  return trigger.id;
}

interface Shown {
  status: string;
  recordId: string;
  type: string;
  attempts: number;
  error: { code: string; message: string } | null;
}

const deliveriesOf = async (id: string): Promise<Shown[]> => (await triggerOf(app, id)).deliveries.nodes;
const statuses = async (id: string): Promise<string[]> =>
  (await deliveriesOf(id)).map(({ status, error }) => (error ? `${status} ${error.code}` : status)).reverse();
const finished = (id: string, count: number): Promise<void> =>
  until(`${count} finished deliveries`, async () => {
    const all = await deliveriesOf(id);
    return all.length >= count && all.every(({ status }) => status !== 'WAITING');
  });

/** Cells of a record as the upstream has them. */
async function cellsOf(recordId: string): Promise<Record<string, unknown>> {
  const { data } = await app.graphql(
    `query ($connection: Int!, $baseId: String!, $tableId: String!, $recordId: String!) {
       record(connection: $connection, baseId: $baseId, tableId: $tableId, recordId: $recordId) { fields(names: ["Name", "Phone", "Email", "Notes"]) } }`,
    { connection, ...contacts, recordId },
  );
  return data.record.fields;
}

describe('what is carried out', () => {
  test('an action with values of the change, once', async () => {
    const id = await createTrigger(create({ Name: { $field: 'Email' }, Phone: 'copied' }), {
      kinds: ['UPDATED'],
      fields: ['Email'],
    });
    const [record] = (await addContacts(app, 1)) as [string];
    await edit(app, { update: [{ id: record, fields: { Email: 'a@example.com' } }] });
    await finished(id, 1);
    expect(await statuses(id)).toEqual(['DELIVERED']);
    const made = (await ledger(app, before)).filter((line) => line.startsWith('created'));
    expect(made).toHaveLength(2);
    const copy = made.map((line) => line.split(' ')[1]!).find((one) => one !== record)!;
    expect(await cellsOf(copy)).toMatchObject({ Name: 'a@example.com', Phone: 'copied' });
    const { action } = await triggerOfAction(id);
    expect(Object.values(action.config.fields)).toEqual([
      { $field: expect.stringMatching(/^fld/) },
      'copied',
    ]);
  });

  test('nothing twice when its process died before it had stored what came of it', async () => {
    const id = await createTrigger(create({ Name: 'Only once' }), { kinds: ['UPDATED'], fields: ['Email'] });
    const [record] = (await addContacts(app, 1)) as [string];
    await edit(app, { update: [{ id: record, fields: { Email: 'b@example.com' } }] });
    await finished(id, 1);
    await app.database.query(
      `UPDATE trigger_deliveries SET status = 'WAITING', finished_at = NULL, lease_holder = gen_random_uuid(),
              lease_until = clock_timestamp() - interval '1 s', open_since = clock_timestamp()`,
    );
    await lookNow(app, id);
    await until('it ran again', async () => (await deliveriesOf(id))[0]?.attempts === 2);
    await finished(id, 1);
    expect(await statuses(id)).toEqual(['DELIVERED']);
    expect((await ledger(app, before)).filter((line) => line.startsWith('created'))).toHaveLength(2);
  });

  test('not again what may have taken effect: it is asked for until that is known', async () => {
    const id = await createTrigger(create({ Name: 'Lost answer' }), {
      kinds: ['UPDATED'],
      fields: ['Email'],
    });
    const [record] = (await addContacts(app, 1)) as [string];
    await control(app.sandbox.url, 'faults', {
      match: { method: 'POST', path: `/v0/${contacts.baseId}/**` },
      kind: 'reset',
      effect: 'after',
      times: 1,
    });
    await edit(app, { update: [{ id: record, fields: { Email: 'c@example.com' } }] });
    // As if the seconds were over after which it is asked again.
    await until('it is known', async () => {
      await app.database.query(
        `UPDATE trigger_deliveries SET next_attempt_at = created_at WHERE lease_until IS NULL`,
      );
      await lookNow(app, id);
      return (await statuses(id)).join() === 'DELIVERED';
    });
    expect(await statuses(id)).toEqual(['DELIVERED']);
    expect((await deliveriesOf(id))[0]!.attempts).toBeGreaterThan(1);
    expect((await ledger(app, before)).filter((line) => line.startsWith('created'))).toHaveLength(2);
  });

  test('as it was begun, also when the trigger has been given another action since', async () => {
    const id = await createTrigger(create({ Name: 'As it was begun' }), {
      kinds: ['UPDATED'],
      fields: ['Email'],
    });
    const [record] = (await addContacts(app, 1)) as [string];
    await control(app.sandbox.url, 'faults', {
      match: { method: 'POST', path: `/v0/${contacts.baseId}/**` },
      kind: 'reset',
      effect: 'after',
      times: 1,
    });
    await edit(app, { update: [{ id: record, fields: { Email: 'f@example.com' } }] });
    await until('its answer was lost', async () => {
      const open = 'SELECT 1 FROM trigger_deliveries WHERE open_since IS NOT NULL AND lease_until IS NULL';
      return (await app.database.query(open)).length === 1;
    });
    await mutate(
      app,
      'updateTrigger',
      { id, action: create({ Name: 'Otherwise', Phone: '1' }) },
      'trigger { id }',
    );
    await until('it is known', async () => {
      await app.database.query(
        `UPDATE trigger_deliveries SET next_attempt_at = created_at WHERE lease_until IS NULL`,
      );
      await lookNow(app, id);
      return (await statuses(id)).join() !== 'WAITING' && !(await statuses(id)).join().startsWith('WAITING ');
    });
    expect(await statuses(id)).toEqual(['DELIVERED']);
    expect((await ledger(app, before)).filter((line) => line.startsWith('created'))).toHaveLength(2);
  });

  test('nothing with cells that are not known: it is parked, unless it takes none', async () => {
    const values = { Name: { $field: 'Email' } };
    const rest = { kinds: ['UPDATED'], fields: ['Email'] };
    const id = await createTrigger(update(self, values), rest);
    const other = await createTrigger(update(self, { Phone: 'the same for all' }), rest);
    const [record] = (await addContacts(app, 1)) as [string];
    await edit(app, { update: [{ id: record, fields: { Email: 'g@example.com' } }] });
    await finished(id, 1);
    await finished(other, 1);
    // As when the upstream did not tell them.
    await app.database.query(
      `UPDATE trigger_deliveries SET body = jsonb_set(jsonb_set(body::jsonb, '{data,isComplete}', 'false'), '{data,record}', 'null')::text`,
    );
    for (const one of [id, other]) {
      const [{ event: _event, ...delivery }] = (await triggerOf(app, one)).deliveries.nodes;
      await mutate(app, 'replayDeliveries', { id: one, deliveries: [delivery.id] }, 'replayed');
      await finished(one, 1);
    }
    expect(await statuses(id)).toEqual(['PARKED CELLS_UNKNOWN']);
    expect(await statuses(other)).toEqual(['DELIVERED']);
    expect(await cellsOf(record)).toMatchObject({ Name: 'g@example.com' });
  });

  test('nothing any more once the field is deleted that it takes values from', async () => {
    const { baseId, tableId } = contacts;
    const only = { kinds: ['UPDATED'], fields: ['Email'] };
    const id = await createTrigger(update(self, { Notes: { $field: 'Website' } }), only);
    const [record] = (await addContacts(app, 1)) as [string];
    await edit(app, { update: [{ id: record, fields: { Notes: 'kept' } }] });
    await control(app.sandbox.url, 'schema', { baseId, removeField: { tableId, fieldId: 'Website' } });
    await edit(app, { update: [{ id: record, fields: { Email: 'h@example.com' } }] });
    await until('it is paused', async () => (await triggerOf(app, id)).pausedBecause === 'FIELD_DELETED');
    // Whoever resumes it as it is has it judged again.
    await mutate(app, 'resumeTrigger', { id }, 'trigger { id }');
    await until('it is paused again', async () => (await triggerOf(app, id)).state === 'PAUSED');
    expect((await triggerOf(app, id)).problem).toContain('updateTrigger');
    expect(await cellsOf(record)).toMatchObject({ Notes: 'kept' });
    await mutate(
      app,
      'updateTrigger',
      { id, action: update(self, { Notes: { $field: 'Email' } }) },
      'trigger { id }',
    );
    await finished(id, 1);
    expect(await cellsOf(record)).toMatchObject({ Notes: 'h@example.com' });
  });

  test('not what the table refuses: it is parked at once, with the reason', async () => {
    const id = await createTrigger(update(self, { Name: { $field: 'Score' } }), {
      kinds: ['UPDATED'],
      fields: ['Score'],
    });
    const [record] = (await addContacts(app, 1)) as [string];
    await edit(app, { update: [{ id: record, fields: { Score: 7 } }] });
    await finished(id, 1);
    const [delivery] = await deliveriesOf(id);
    expect(delivery).toMatchObject({ status: 'PARKED', attempts: 1 });
    expect(delivery?.error?.message).toContain('Name');
  });
});

describe('loops', () => {
  test('a trigger that changes its own table is stopped after one round', async () => {
    const id = await createTrigger(update(self, { Phone: 'touched' }));
    const [record] = (await addContacts(app, 1)) as [string];
    await finished(id, 2);
    expect(await statuses(id)).toEqual(['DELIVERED', 'STOPPED AUTOMATION_LOOP']);
    expect(await cellsOf(record)).toMatchObject({ Phone: 'touched' });
    // People go on to set it off.
    await edit(app, { update: [{ id: record, fields: { Email: 'd@example.com', Phone: 'by hand' } }] });
    await finished(id, 4);
    expect((await statuses(id)).slice(2)).toEqual(['DELIVERED', 'STOPPED AUTOMATION_LOOP']);
  });

  test('so is one that creates records where it listens to creations', async () => {
    const id = await createTrigger(create({ Name: 'Another' }), { kinds: ['CREATED'] });
    await addContacts(app, 1);
    await finished(id, 2);
    expect(await statuses(id)).toEqual(['DELIVERED', 'STOPPED AUTOMATION_LOOP']);
    expect((await ledger(app, before)).filter((line) => line.startsWith('created'))).toHaveLength(2);
  });

  test('and two that set each other off', async () => {
    const [record] = (await addContacts(app, 1)) as [string];
    const only = (field: string) => ({ kinds: ['UPDATED'], fields: [field] });
    const first = await createTrigger(update(self, { Phone: 'first' }), only('Email'));
    const second = await createTrigger(update(self, { Email: 'second@example.com' }), only('Phone'));
    await edit(app, { update: [{ id: record, fields: { Email: 'begin@example.com' } }] });
    await finished(second, 1);
    await finished(first, 2);
    expect(await statuses(first)).toEqual(['DELIVERED', 'STOPPED AUTOMATION_LOOP']);
    expect(await statuses(second)).toEqual(['DELIVERED']);
    const { data } = await app.graphql(
      'query ($id: String!) { trigger(id: $id) { deliveries { nodes { chain } } } }',
      { id: first },
    );
    expect(data.trigger.deliveries.nodes[0].chain).toEqual([first, second]);
  });

  test('and one through the other end of a link', async () => {
    const tables = (await app.graphql(
      'query ($connection: Int!, $baseId: String!) { base(connection: $connection, baseId: $baseId) { tables { id name } } }',
      { connection, baseId: contacts.baseId },
    )) as { data: { base: { tables: { id: string; name: string }[] } } };
    const tableId = tables.data.base.tables.find(({ name }) => name === 'Companies')!.id;
    // Each new contact of a company is a change of the company as well.
    const id = await createTrigger(create({ Name: 'Of a company', Company: [self] }), {
      tableId,
      kinds: ['UPDATED'],
    });
    const { created } = await control<{ created: string[] }>(app.sandbox.url, 'edits', {
      baseId: contacts.baseId,
      tableId,
      create: [{ fields: { Name: 'A company' } }],
    });
    await edit(app, { tableId, update: [{ id: created[0], fields: { Name: 'Another name' } }] });
    await finished(id, 2);
    expect(await statuses(id)).toEqual(['DELIVERED', 'STOPPED AUTOMATION_LOOP']);
  });

  test('no more than eight set each other off', async () => {
    const [record] = (await addContacts(app, 1)) as [string];
    const chain: string[] = [];
    for (let place = 1; place <= 9; place += 1) {
      const filter = { field: 'Phone', eq: String(place) };
      const rest = { kinds: ['UPDATED'], fields: ['Phone'], filter };
      chain.push(await createTrigger(update(self, { Phone: String(place + 1) }), rest));
    }
    await edit(app, { update: [{ id: record, fields: { Phone: '1' } }] });
    const last = chain.at(-1)!;
    await finished(last, 1);
    expect((await deliveriesOf(last))[0]).toMatchObject({
      status: 'STOPPED',
      error: { code: 'AUTOMATION_LOOP', message: expect.stringContaining('8 triggers') },
    });
    expect(await statuses(chain.at(-2)!)).toContain('DELIVERED');
    expect(await cellsOf(record)).toMatchObject({ Phone: '9' });
  });
});

describe('making one', () => {
  test.each<[string, object, string]>([
    ['that only reads', { action: 'calendly.listBases', config: {} }, "trigger's action is one of"],
    ['with another key beside a reference', update({ $record: 'id', x: 1 }, {}), 'A reference is'],
    ['with an expression', update(self, { Name: { $concat: ['a'] } }), 'A reference is'],
    ['of a field that is not there', update(self, { Name: { $field: 'Emial' } }), 'Did you mean'],
    ['into a field that is not there', update(self, { Nmae: 'x' }), 'Did you mean'],
    ['of no action', { action: 'calendly.updateRecrod', config: {} }, 'trigger'],
  ])('refuses an action %s', async (_what, action, told) => {
    await expect(createTrigger({ ...action, connection })).rejects.toThrow(told);
  });

  test('refuses both an endpoint and an action, and neither', async () => {
    const both = { name: 'A', connection, ...contacts, endpoint: 'https://example.com' };
    await expect(mutate(app, 'createTrigger', { ...both, action: create({}) }, 'secret')).rejects.toThrow(
      'not both',
    );
    await expect(mutate(app, 'createTrigger', { ...both, endpoint: null }, 'secret')).rejects.toThrow(
      'not both',
    );
    const id = await createTrigger(create({ Name: 'x' }));
    await expect(mutate(app, 'testTrigger', { id }, 'delivered')).rejects.toThrow('no endpoint');
    await expect(
      mutate(app, 'updateTrigger', { id, endpoint: 'https://example.com' }, 'trigger { id }'),
    ).rejects.toThrow('can not become');
  });

  test('refuses a base that its maker may not use', async () => {
    const { key } = await app.app.keys.issue({
      name: 'Elsewhere',
      role: 'admin',
      connectionIds: [connection],
      baseIds: [contacts.baseId],
      expiresAt: null,
    });
    const { errors } = await app.graphql(
      'mutation ($input: CreateTriggerInput!) { createTrigger(input: $input) { __typename ... on Error { code } } }',
      {
        input: {
          name: 'A',
          connection,
          ...contacts,
          action: { ...create({}), config: { baseId: 'appOTHER', tableId: 'T', fields: {} } },
        },
      },
      { key },
    );
    expect(errors?.[0]?.extensions.code).toBe('BASE_NOT_FOUND');
  });
});

test('one that writes where a key does not reach is not there for it', async () => {
  const id = await createTrigger(update(self, { Phone: 'x' }));
  const { key } = await app.app.keys.issue({
    name: 'Of one base',
    role: 'admin',
    connectionIds: [connection],
    baseIds: [contacts.baseId],
    expiresAt: null,
  });
  const within: Pick<TestApp, 'graphql'> = {
    graphql: (document, variables) => app.graphql(document, variables, { key }),
  };
  expect((await triggerOf(within, id)).state).toBe('ACTIVE');
  await app.database.query(
    `UPDATE triggers SET action = jsonb_set(action, '{config,baseId}', '"appELSEWHERE00001"')`,
  );
  await expect(triggerOf(within, id)).rejects.toThrow('TRIGGER_NOT_FOUND');
  for (const name of ['resumeTrigger', 'replayDeliveries'])
    await expect(mutate(within, name, { id }, '__typename')).rejects.toThrow('TRIGGER_NOT_FOUND');
  const { data } = await within.graphql('{ triggers { id } }');
  expect(data.triggers).toEqual([]);
});

async function triggerOfAction(id: string) {
  const { data } = await app.graphql('query ($id: String!) { trigger(id: $id) { action } }', { id });
  return data.trigger as { action: { config: { fields: Record<string, unknown> } } };
}
