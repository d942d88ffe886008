import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { clearFaults, countCalls, crm } from '../records/crm.ts';
import { control, startTestApp, type TestApp, type UntypedData } from '../support/app.ts';
import { createWebhook } from '../webhooks/operations.ts';

let app: TestApp;
let connection: number;
beforeAll(async () => {
  app = await startTestApp();
  connection = await app.connect({ name: 'Marketing Calendly Workspace' });
});
afterEach(() => clearFaults(app));
afterAll(() => app.close());

const document = `mutation ($input: RunActionInput!) { runAction(input: $input) {
  __typename
  ... on Error { code message }
  ... on InvalidInputError { faults { path message } }
  ... on ActionNotConfirmedError { status recordId }
  ... on RunActionSuccess { action connection { id } result }
} }`;

const table = { baseId: crm, tableId: 'Contacts' };
const stored = (name: string, config: object, on: unknown = connection) => ({
  action: `calendly.${name}`,
  connection: on,
  config,
});

/** What the mutation gives, or the error in its place. */
async function run(
  action: unknown,
  { idempotencyKey, key, through = app }: { idempotencyKey?: string; key?: string; through?: TestApp } = {},
): Promise<UntypedData> {
  const { data, errors } = await through.graphql(
    document,
    { input: { action, ...(idempotencyKey === undefined ? {} : { idempotencyKey }) } },
    key === undefined ? {} : { key },
  );
  return data?.runAction ?? { code: errors?.[0]?.extensions.code, message: errors?.[0]?.message };
}

const resultOf = async (action: object, options?: Parameters<typeof run>[1]): Promise<UntypedData> => {
  const answer = await run(action, options);
  expect(answer).toMatchObject({ __typename: 'RunActionSuccess' });
  return answer.result;
};
const faultsOf = async (action: unknown, options?: Parameters<typeof run>[1]): Promise<string[]> => {
  const { faults } = await run(action, options);
  return faults.map(
    ({ path, message }: { path: string[]; message: string }) => `${path.join('.')}: ${message}`,
  );
};
const newContact = async (fields: object): Promise<string> =>
  (await resultOf(stored('createRecord', { ...table, fields }))).recordId;

test('the action of the product brief creates its record, by one call', async () => {
  await resultOf(stored('listTables', { baseId: crm }));
  const action = {
    action: 'calendly.createRecord',
    connection: 1,
    config: {
      baseId: 'appABC123',
      tableId: 'tblDEF456',
      fields: { Name: 'John Doe', Email: 'john@example.com', Status: 'Active' },
    },
  };
  const { result: answer, calls } = await countCalls(app, () => run(action));
  expect(answer).toMatchObject({
    action: 'calendly.createRecord',
    connection: { id: connection },
    result: {
      status: 'WRITTEN',
      effect: 'CREATED',
      recordId: expect.stringMatching(/^rec/),
      replayed: false,
      record: {
        fields: { Name: 'John Doe', Email: 'john@example.com', Status: 'Active', VIP: false },
      },
    },
  });
  expect(answer.result.record.id).toBe(answer.result.recordId);
  expect(calls).toEqual({ createRecords: 1 });
});

describe('each action', () => {
  test('may name its connection', async () => {
    const byName = stored('listBases', {}, 'Marketing Calendly Workspace');
    const answer = await run(byName);
    expect(answer.connection).toEqual({ id: connection });
    expect(answer.result.bases).toContainEqual({
      id: crm,
      name: expect.any(String),
      permissionLevel: expect.any(String),
    });
  });

  test('listBases goes on behind its cursor', async () => {
    const { bases } = await resultOf(stored('listBases', {}));
    const begin = await resultOf(stored('listBases', { first: 1 }));
    expect(begin.pageInfo.hasNextPage).toBe(bases.length > 1);
    const rest = await resultOf(stored('listBases', { after: begin.pageInfo.endCursor }));
    expect([...begin.bases, ...rest.bases]).toEqual(bases);
  });

  test('listTables tells fields and views', async () => {
    const { tables } = await resultOf(stored('listTables', { baseId: crm }));
    const contacts = tables.find(({ id }: { id: string }) => id === 'tblDEF456');
    expect(contacts).toMatchObject({ name: 'Contacts', primaryFieldId: contacts.fields[0].id });
    expect(contacts.fields.map(({ name }: { name: string }) => name)).toContain('Email');
    expect(contacts.views.length).toBeGreaterThan(0);
  });

  test('queryRecords answers what the query of records answers, for as many calls', async () => {
    const config = {
      ...table,
      fields: ['Name', 'Status'],
      filter: { and: [{ field: 'Name', contains: 'a' }, { not: { field: 'Email', isEmpty: true } }] },
      search: 'e',
      formula: '{Name} != "Nobody"',
      sort: [{ field: 'Name', direction: 'DESC' }],
      first: 3,
    };
    const { fields, baseId: _baseId, tableId: _tableId, sort, ...args } = config;
    const queried = await countCalls(app, () =>
      app.graphql(
        `query ($c: Int!, $filter: RecordFilter, $search: String, $formula: String, $first: Int, $names: [String!]) { base(connection: $c, baseId: "${crm}") { table(id: "Contacts") {
          records(filter: $filter, search: $search, formula: $formula, sort: [{ field: "${sort[0]!.field}", direction: DESC }], first: $first) { nodes { id createdTime fields(names: $names) } pageInfo { hasNextPage endCursor } } } } }`,
        { c: connection, names: fields, ...args },
      ),
    );
    const acted = await countCalls(app, () => resultOf(stored('queryRecords', config)));
    const { nodes, pageInfo } = queried.result.data.base.table.records;
    expect(nodes).toHaveLength(3);
    expect(acted.result.records.map(({ problems: _, ...record }: { problems: unknown }) => record)).toEqual(
      nodes,
    );
    expect(acted.result.pageInfo.hasNextPage).toBe(pageInfo.hasNextPage);
    expect(acted.calls).toEqual(queried.calls);
    const next = await resultOf(
      stored('queryRecords', { ...config, after: acted.result.pageInfo.endCursor }),
    );
    expect(nodes.map(({ id }: { id: string }) => id)).not.toContain(next.records[0].id);
  });

  test('queryRecords takes a view, and gives all cells unless some are named', async () => {
    const { tables } = await resultOf(stored('listTables', { baseId: crm }));
    const { views, fields } = tables.find(({ id }: { id: string }) => id === 'tblDEF456');
    const { records } = await resultOf(stored('queryRecords', { ...table, view: views[0].name, first: 1 }));
    expect(Object.keys(records[0].fields)).toEqual(fields.map(({ name }: { name: string }) => name));
  });

  test('getRecord gives the record, or null where there is none', async () => {
    const recordId = await newContact({ Name: 'To be read' });
    const { result, calls } = await countCalls(app, () =>
      resultOf(stored('getRecord', { ...table, recordId, fields: ['Name'] })),
    );
    expect(result.record).toMatchObject({ id: recordId, fields: { Name: 'To be read' } });
    expect(calls).toEqual({ listRecords: 1 });
    const gone = stored('getRecord', { ...table, recordId: 'recNobodyHasThis1' });
    expect(await resultOf(gone)).toEqual({ record: null });
  });

  test('updateRecord and deleteRecord tell what they did', async () => {
    const recordId = await newContact({ Name: 'Before', Score: 3 });
    const { result: updated, calls } = await countCalls(app, () =>
      resultOf(stored('updateRecord', { ...table, recordId, fields: { Name: 'Afterwards' } })),
    );
    expect(calls).toEqual({ updateRecords: 1 });
    expect(updated).toMatchObject({
      effect: 'UPDATED',
      recordId,
      record: { fields: { Name: 'Afterwards', Score: 3 } },
    });
    const deleted = await resultOf(stored('deleteRecord', { ...table, recordId }));
    expect(deleted).toEqual({
      status: 'WRITTEN',
      effect: 'DELETED',
      recordId,
      record: null,
      replayed: false,
    });
    expect(await resultOf(stored('getRecord', { ...table, recordId }))).toEqual({ record: null });
  });

  test('with typecast the service may convert what it is given', async () => {
    const config = { ...table, fields: { Name: 'Converted', Score: '7' } };
    expect(await faultsOf(stored('createRecord', config))).toEqual([
      expect.stringMatching(/^action\.config\.fields\.Score: /),
    ]);
    const { record } = await resultOf(stored('createRecord', { ...config, typecast: true }));
    expect(record.fields.Score).toBe(7);
  });

  test('listWebhookPayloads reads our log behind a cursor, without a call for records', async () => {
    const base = { baseId: crm };
    const nothing = await resultOf(stored('listWebhookPayloads', base));
    expect(nothing).toMatchObject({ changes: [], losses: [], loggedSince: null });
    await createWebhook(app, connection);
    const recordId = await newContact({ Name: 'Told' });
    const config = { ...base, tableId: 'Contacts', recordId };
    let told;
    do told = await resultOf(stored('listWebhookPayloads', config));
    while (told.changes.length === 0);
    expect(told.changes).toMatchObject([
      { kind: 'CREATED', tableId: 'tblDEF456', recordId, source: 'publicApi' },
    ]);
    expect(told.changes[0].fields).toContainEqual(expect.objectContaining({ name: 'Name', current: 'Told' }));
    expect(told.pageInfo).toEqual({ hasNextPage: false, endCursor: told.changes[0].cursor });
    const { result: rest, calls } = await countCalls(app, () =>
      resultOf(stored('listWebhookPayloads', { ...config, after: told.pageInfo.endCursor })),
    );
    expect(rest).toMatchObject({ changes: [], pageInfo: { endCursor: told.pageInfo.endCursor } });
    expect(calls.listRecords).toBeUndefined();
  });
});

describe('what is wrong with an action', () => {
  test('is told all at once, each fault with its path, and nothing is asked', async () => {
    const action = {
      action: 'calendly.queryRecords',
      connection: 0,
      retries: 3,
      config: {
        baseId: 'crm',
        tabelId: 'Contacts',
        fields: ['Name', 7],
        filter: {
          and: [
            { field: 'Name', containz: 'x' },
            { field: 'Score', gt: [] },
          ],
        },
        sort: [{ field: 'Name', direction: 'UP' }],
        first: 1_001,
      },
    };
    const { result, calls } = await countCalls(app, () => faultsOf(action, { idempotencyKey: 'é' }));
    expect(result).toEqual([
      'idempotencyKey: Idempotency key must be 1 to 255 printable ASCII characters, such as a UUID',
      'action.retries: "retries" is not known.',
      'action.connection: ID must be a positive integer',
      'action.config.baseId: "config.baseId" must be the id of a base, such as app0123456789AbCd',
      'action.config.tableId: "config.tableId" is missing',
      'action.config.fields.1: "config.fields[1]" must be a text, not a number',
      'action.config.filter.and.0.containz: "config.filter.and[0].containz" is not known. Did you mean "contains"?',
      'action.config.filter.and.1.gt: "config.filter.and[1].gt" must be a text, a number, true or false',
      'action.config.sort.0.direction: "config.sort[0].direction" must be one of "ASC", "DESC", "asc", "desc"',
      'action.config.first: "config.first" must be at most 1000',
      'action.config.tabelId: "config.tabelId" is not known. Did you mean "tableId"?',
    ]);
    expect(calls).toEqual({});
  });

  test.each<[string, unknown, string]>([
    [
      'no object',
      'calendly.listBases',
      'action: An action is an object with "action", "connection" and "config"',
    ],
    ['too long', { config: 'x'.repeat(262_144) }, 'action: An action may have at most 262144 bytes of JSON'],
    ['misspelt', { action: 'calendly.createRecrod' }, 'Did you mean "calendly.createRecord"?'],
    ['without its prefix', { action: 'deleteRecord' }, 'Did you mean "calendly.deleteRecord"?'],
    ['unlike any', { action: 'sendMail' }, 'Known are calendly.listBases'],
    ['without a name', {}, 'action.action: "action" is missing'],
    ['of a name that is none', { action: 1 }, 'action.action: "action" must be the name of an action'],
    ['without a connection', { action: 'calendly.listBases' }, 'action.connection: "connection" is missing'],
    ['of a connection that is none', { connection: [] }, 'must be the id (a number) or the name (a text)'],
    ['of a blank connection', { connection: ' ' }, 'Connection name must be at least 1 character'],
    [
      'without settings',
      { action: 'calendly.listBases', connection: 1 },
      'action.config: "config" is missing',
    ],
  ])('it is %s', async (_, action, fault) => {
    expect((await faultsOf(action)).join('\n')).toContain(fault);
  });

  test('is told a hundred times at most', async () => {
    const misspelt = Object.fromEntries(Array.from({ length: 5_000 }, (_, n) => [`x${n}`, 1]));
    expect(await faultsOf(stored('createRecord', misspelt))).toHaveLength(100);
    expect(await faultsOf(stored('createRecord', { ...table, fields: misspelt }))).toHaveLength(100);
  });

  test('what only the table can tell has its path too', async () => {
    const fields = { Nmae: 'x', Score: 'high', Status: 'Activ' };
    expect(await faultsOf(stored('createRecord', { ...table, fields }))).toEqual([
      expect.stringMatching(/^action\.config\.fields\.Nmae: .*Did you mean "Name"\?$/),
      expect.stringMatching(/^action\.config\.fields\.Score: /),
      expect.stringMatching(/^action\.config\.fields\.Status: .*"Active"/),
    ]);
    expect(await faultsOf(stored('queryRecords', { ...table, fields: ['Nmae', 'Emial'] }))).toEqual([
      expect.stringMatching(/^action\.config\.fields\.0: .*"Name"\?$/),
      expect.stringMatching(/^action\.config\.fields\.1: .*"Email"\?$/),
    ]);
    expect(await faultsOf(stored('queryRecords', { ...table, filter: {} }))).toEqual([
      expect.stringMatching(/^action\.config\.filter: /),
    ]);
    const lost = stored('getRecord', { baseId: crm, tableId: 'Contcats', recordId: 'recNobodyHasThis1' });
    expect(await run(lost)).toMatchObject({
      code: 'TABLE_NOT_FOUND',
      message: expect.stringMatching(/Contacts/),
    });
  });
});

describe('reach', () => {
  test('what is out of reach looks like what is missing', async () => {
    const other = await app.connect({ name: 'Other' });
    const narrow = await app.app.keys.create('Narrow', 'editor', {
      connectionIds: [connection],
      baseIds: [crm],
    });
    const asked = async (on: unknown) =>
      JSON.stringify(await run(stored('listBases', {}, on), { key: narrow })).replaceAll(String(on), 'ASKED');
    expect(await asked(other)).toContain('ConnectionNotFoundError');
    expect(await asked(other)).toEqual(await asked(2_147_483_647));
    expect(await asked('Other')).toEqual(await asked('Nobody'));
    const { bases } = await resultOf(stored('listBases', {}), { key: narrow });
    expect(bases.map(({ id }: { id: string }) => id)).toEqual([crm]);
    const foreign = { baseId: 'appOTHER1', tableId: 'Contacts', recordId: 'recNobodyHasThis1', fields: {} };
    const settings: Record<string, string[]> = {
      listTables: ['baseId'],
      queryRecords: ['baseId', 'tableId'],
      getRecord: ['baseId', 'tableId', 'recordId'],
      createRecord: ['baseId', 'tableId', 'fields'],
      updateRecord: ['baseId', 'tableId', 'recordId', 'fields'],
      deleteRecord: ['baseId', 'tableId', 'recordId'],
      listWebhookPayloads: ['baseId'],
    };
    const { calls } = await countCalls(app, async () => {
      for (const [name, keys] of Object.entries(settings)) {
        const config = Object.fromEntries(Object.entries(foreign).filter(([key]) => keys.includes(key)));
        expect(await run(stored(name, config), { key: narrow })).toMatchObject({ code: 'BASE_NOT_FOUND' });
      }
    });
    expect(calls).toEqual({});
  });
});

describe('a write', () => {
  const lost = (effect: 'before' | 'after') =>
    control(app.sandbox.url, 'faults', {
      match: { method: 'POST', path: `/v0/${crm}/tblDEF456` },
      times: 1,
      kind: 'reset',
      effect,
    });

  test('with a key has one effect, however often it is run, and a key stands for one action', async () => {
    const action = stored('createRecord', { ...table, fields: { Name: 'Once' } });
    const { result: answers, calls } = await countCalls(app, () =>
      Promise.all(Array.from({ length: 5 }, () => resultOf(action, { idempotencyKey: 'once' }))),
    );
    expect(calls.createRecords).toBe(1);
    expect(new Set(answers.map(({ recordId }) => recordId)).size).toBe(1);
    expect(answers.filter(({ replayed }) => replayed)).toHaveLength(4);
    for (const { record } of answers) expect(record.fields.Name).toBe('Once');
    const changed = stored('createRecord', { ...table, fields: { Name: 'Twice' } });
    expect(await run(changed, { idempotencyKey: 'once' })).toMatchObject({
      __typename: 'IdempotencyKeyReusedError',
    });
  });

  test('stands for the connection that its name meant, not for one that was given the name since', async () => {
    const name = (id: number, to: string) =>
      app.database.query('UPDATE connections SET name = $2 WHERE id = $1', [id, to]);
    const heir = await app.connect({ name: 'Heir' });
    const action = stored('createRecord', { ...table, fields: { Name: 'Inherited' } }, 'Founder');
    await name(connection, 'Founder');
    await resultOf(action, { idempotencyKey: 'inherited' });
    await name(connection, 'Marketing Calendly Workspace');
    await name(heir, 'Founder');
    expect(await run(action, { idempotencyKey: 'inherited' })).toMatchObject({
      __typename: 'IdempotencyKeyReusedError',
    });
  });

  test('whose answer is lost is told as unknown, and is not sent again', async () => {
    const action = stored('createRecord', { ...table, fields: { Name: 'Lost' } });
    await lost('after');
    const { calls } = await countCalls(app, async () => {
      expect(await run(action, { idempotencyKey: 'lost' })).toMatchObject({
        __typename: 'ActionNotConfirmedError',
        status: 'OUTCOME_UNKNOWN',
        recordId: null,
      });
      // Other tests listen to the base: by now its log may have told what became of it.
      const again = await run(action, { idempotencyKey: 'lost' });
      if (again.__typename === 'ActionNotConfirmedError') expect(again.status).toBe('OUTCOME_UNKNOWN');
      else expect(again).toMatchObject({ result: { status: 'WRITTEN' } });
    });
    expect(calls.createRecords).toBe(1);
  });

  test('that the service refuses is no success', async () => {
    const config = { ...table, recordId: 'recNobodyHasThis1', fields: { Name: 'x' } };
    expect(await run(stored('updateRecord', config))).toMatchObject({
      __typename: 'ActionNotConfirmedError',
      status: 'FAILED',
      code: expect.stringMatching(/^[A-Z_]+$/),
      recordId: 'recNobodyHasThis1',
    });
  });

  test('shows in what the same operation reads after it', async () => {
    const recordId = await newContact({ Name: 'Old' });
    const { data } = await app.graphql(
      `mutation ($old: RunActionInput!, $write: RunActionInput!, $read: RunActionInput!) {
        old: runAction(input: $old) { ... on RunActionSuccess { result } }
        write: runAction(input: $write) { __typename }
        read: runAction(input: $read) { ... on RunActionSuccess { result } }
      }`,
      {
        old: { action: stored('getRecord', { ...table, recordId }) },
        write: { action: stored('updateRecord', { ...table, recordId, fields: { Name: 'New' } }) },
        read: { action: stored('getRecord', { ...table, recordId }) },
      },
    );
    const names = [data.old, data.read].map(({ result }) => result.record.fields.Name);
    expect(names).toEqual(['Old', 'New']);
  });

  test('is in the audit log with its place, and without what was written', async () => {
    await newContact({ Name: 'Audited privately' });
    const { data } = await app.graphql(
      '{ auditLog(first: 1, action: "runAction") { nodes { action connectionId target outcome details } } }',
    );
    expect(data.auditLog.nodes[0]).toMatchObject({
      action: 'runAction',
      connectionId: connection,
      outcome: 'ok',
    });
    expect(data.auditLog.nodes[0].details).toMatchObject({ action: 'calendly.createRecord' });
    expect(JSON.stringify(data)).not.toContain('Audited');
  });
});

test("a person's query passes actions that wait", async () => {
  const slow = await app.another({ rateLimit: { calls: 1, windowMs: 300, penaltyMs: 300 } });
  try {
    const order: string[] = [];
    const recordId = await newContact({ Name: 'Contested' });
    const read = `query ($c: Int!, $r: String!) { record(connection: $c, baseId: "${crm}", tableId: "Contacts", recordId: $r) { text(field: "Name") } }`;
    // The schema is at hand before, so that each asks for one record.
    await slow.graphql(read, { c: connection, r: recordId });
    const actions = Array.from({ length: 4 }, (_, n) =>
      resultOf(stored('updateRecord', { ...table, recordId, fields: { Score: n } }), { through: slow }).then(
        () => order.push('action'),
      ),
    );
    await Promise.race(actions);
    const person = slow.graphql(read, { c: connection, r: recordId }).then(() => order.push('person'));
    await Promise.all([...actions, person]);
    expect(order.indexOf('person')).toBeLessThanOrEqual(2);
  } finally {
    await slow.close();
  }
});
