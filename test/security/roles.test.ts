import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { control, startTestApp, type TestApp } from '../support/app.ts';

type Role = 'viewer' | 'editor' | 'admin';
const roles: Role[] = ['viewer', 'editor', 'admin'];

/** A number that no connection has: whoever gets past the role finds nothing there. */
const missing = 2_147_483_647;
const place = { connection: missing, baseId: 'appABC123', tableId: 'tblDEF456' };

/** The least role for each mutation, and an input that does no harm. */
const mutations: Record<string, [Role, object]> = {
  createApiKey: ['admin', {}],
  revokeApiKey: ['admin', { id: missing }],
  createConnection: ['admin', { type: 'nonsense' }],
  updateConnection: ['admin', { connection: missing }],
  deleteConnection: ['admin', { connection: missing }],
  testConnection: ['editor', { connection: missing }],
  rotateTokens: ['admin', { connection: missing }],
  connectConnection: ['admin', { connection: missing }],
  disconnectConnection: ['admin', { connection: missing }],
  createWebhook: ['admin', { connection: missing, baseId: 'appABC123' }],
  refreshWebhook: ['admin', { id: 'none' }],
  deleteWebhook: ['admin', { id: 'none' }],
  createRecords: ['editor', { ...place, records: [{ fields: {} }] }],
  updateRecords: ['editor', { ...place, records: [{ id: 'recNONE', fields: {} }] }],
  upsertRecords: ['editor', { ...place, fieldsToMergeOn: ['Name'], records: [{ fields: {} }] }],
  deleteRecords: ['editor', { ...place, ids: ['recNONE'] }],
  createTrigger: ['admin', { ...place, name: 'A', endpoint: 'https://example.com' }],
  updateTrigger: ['admin', { id: 'none' }],
  deleteTrigger: ['admin', { id: 'none' }],
  pauseTrigger: ['admin', { id: 'none' }],
  resumeTrigger: ['admin', { id: 'none' }],
  rotateTriggerSecret: ['admin', { id: 'none' }],
  replayDeliveries: ['admin', { id: 'none' }],
  testTrigger: ['admin', { id: 'none' }],
  createSync: ['admin', place],
  updateSync: ['admin', { id: 'none' }],
  deleteSync: ['admin', { id: 'none' }],
  pauseSync: ['admin', { id: 'none' }],
  resumeSync: ['admin', { id: 'none' }],
  reconcileSync: ['admin', { id: 'none' }],
  runAction: ['editor', { action: { action: 'calendly.listBases', connection: missing, config: {} } }],
};

let app: TestApp;
const keys = {} as Record<Role, string>;
beforeAll(async () => {
  app = await startTestApp();
  for (const role of roles) keys[role] = await app.app.keys.create(`The ${role}`, role);
});
afterAll(() => app.close());

const run = (name: string, input: object, key: string) =>
  app.graphql(
    `mutation ($input: ${name.charAt(0).toUpperCase()}${name.slice(1)}Input!) { ${name}(input: $input) { __typename ... on Error { code message } } }`,
    { input },
    { key },
  );

describe('roles', () => {
  const known = async (): Promise<string[]> => {
    const { data } = await app.graphql('{ __type(name: "Mutation") { fields { name } } }');
    return data.__type.fields.map(({ name }: { name: string }) => name);
  };

  test('each mutation of the schema has its role here', async () => {
    for (const name of await known()) expect(Object.keys(mutations)).toContain(name);
  });

  test.each(roles)('a %s may use exactly the mutations of that role and the ones below', async (role) => {
    const calls = async () => (await control(app.sandbox.url, 'calls')).total;
    for (const name of await known()) {
      const [least, input] = mutations[name]!;
      const before = await calls();
      const { data, errors } = await run(name, input, keys[role]);
      const codes = errors?.map((error) => error.extensions.code) ?? [];
      if (roles.indexOf(role) < roles.indexOf(least)) {
        expect({ name, data, codes }).toEqual({ name, data: { [name]: null }, codes: ['FORBIDDEN'] });
        expect(errors?.[0]?.message).toContain(role);
        expect(await calls()).toEqual(before);
      } else expect({ name, codes }).not.toEqual({ name, codes: ['FORBIDDEN'] });
    }
  });

  test('whoever is refused has changed nothing', async () => {
    await run(
      'createConnection',
      { type: 'calendly', name: 'By a viewer', clientId: 'a', clientSecret: 'b' },
      keys.viewer,
    );
    await run(
      'createConnection',
      { type: 'calendly', name: 'By an editor', clientId: 'a', clientSecret: 'b' },
      keys.editor,
    );
    expect(await app.database.query('SELECT name FROM connections')).toEqual([]);
  });

  test('a refused mutation does not stop the ones beside it from being refused too', async () => {
    const { data, errors } = await app.graphql(
      `mutation { a: connectConnection(input: { connection: 1 }) { __typename } b: createRecords(input: { connection: 1, baseId: "appA", tableId: "tblA", records: [] }) { __typename } }`,
      {},
      { key: keys.viewer },
    );
    expect(data).toEqual({ a: null, b: null });
    expect(errors).toHaveLength(2);
    for (const error of errors ?? []) expect(error.extensions.code).toBe('FORBIDDEN');
  });

  test('metrics for a remote caller need an admin', async () => {
    for (const role of roles) {
      const { status } = await fetch(`${app.url}/metrics`, {
        headers: { authorization: `Bearer ${keys[role]}`, 'x-forwarded-for': '203.0.113.7' },
      });
      expect(status).toBe(role === 'admin' ? 200 : 403);
    }
  });

  test.each([
    [
      'revoked',
      () => app.database.query(`UPDATE api_keys SET revoked_at = now() WHERE name = 'Short-lived'`),
    ],
    [
      'expired',
      () =>
        app.database.query(
          `UPDATE api_keys SET expires_at = now() - interval '1 second' WHERE name = 'Short-lived'`,
        ),
    ],
  ])('a key that is %s opens nothing', async (_how, end) => {
    const key = await app.app.keys.create('Short-lived', 'admin', { expiresInHours: 1 });
    expect((await app.graphql('{ __typename }', {}, { key })).status).toBe(200);
    await end();
    expect((await app.graphql('{ __typename }', {}, { key })).status).toBe(401);
  });
});

describe('a key with a reach', () => {
  let own: number;
  let other: number;
  let viewer: string;
  let admin: string;
  let ownBaseOnly: string;
  beforeAll(async () => {
    own = await app.connect({ name: 'Own' });
    other = await app.connect({ name: 'Other' });
    viewer = await app.app.keys.create('Reaches one', 'viewer', { connectionIds: [own] });
    admin = await app.app.keys.create('Administers one', 'admin', { connectionIds: [own] });
    ownBaseOnly = await app.app.keys.create('Reaches a base', 'admin', {
      connectionIds: [own],
      baseIds: ['appABC123'],
    });
  });

  /** An answer without what differs in any case, and with the asked-for thing's name left open. */
  const shape = ({ data, errors }: { data: unknown; errors?: unknown }, name: string | number) =>
    leaveOpen(JSON.stringify({ data, errors }), name);
  const leaveOpen = (text: string, name: string | number) =>
    text
      .replace(/"requestId":"[^"]*"|"locations":\[[^\]]*\]/g, '')
      .replace(new RegExp(`\\b${name}\\b`, 'g'), 'ASKED');

  test('works where it reaches', async () => {
    const { data, errors } = await app.graphql(
      'query ($id: Int!) { connections { id } base(connection: $id, baseId: "appABC123") { name } }',
      { id: own },
      { key: viewer },
    );
    expect(errors).toBeUndefined();
    expect(data).toEqual({ connections: [{ id: own }], base: { name: 'Marketing CRM' } });
  });

  test.each([
    'query ($id: Int!) { connection(id: $id) { id } }',
    'query ($id: Int!) { base(connection: $id, baseId: "appABC123") { name } }',
    'query ($id: Int!) { base(connection: $id, baseId: "appABC123") { id tables { id } } }',
    'query ($id: Int!) { record(connection: $id, baseId: "appABC123", tableId: "tblDEF456", recordId: "recA") { id } }',
    'query ($id: Int!) { changes(connection: $id, baseId: "appABC123") { nodes { __typename } } }',
    'query ($id: Int!) { connection(id: $id) { ... on CalendlyConnection { webhooks { id } } } }',
    'mutation ($id: Int!) { connectConnection(input: { connection: $id }) { __typename ... on Error { code message } } }',
    'mutation ($id: Int!) { disconnectConnection(input: { connection: $id }) { __typename ... on Error { code message } } }',
    'mutation ($id: Int!) { createWebhook(input: { connection: $id, baseId: "appABC123" }) { __typename ... on Error { code message } } }',
    'mutation ($id: Int!) { createRecords(input: { connection: $id, baseId: "appABC123", tableId: "tblDEF456", records: [{ fields: {} }] }) { __typename ... on Error { code message } } }',
    'mutation ($id: Int!) { deleteRecords(input: { connection: $id, baseId: "appABC123", tableId: "tblDEF456", ids: ["recA"] }) { __typename ... on Error { code message } } }',
  ])('sees no difference between what is elsewhere and what is not there: %s', async (document) => {
    const elsewhere = await app.graphql(document, { id: other }, { key: admin });
    const nowhere = await app.graphql(document, { id: missing }, { key: admin });
    expect(shape(elsewhere, other)).toBe(shape(nowhere, missing));
    expect(shape(elsewhere, other)).not.toMatch(/FORBIDDEN|appABC123","name/);
  });

  test('finds nothing elsewhere by global id', async () => {
    const nodeId = (type: string, rest: string) => Buffer.from(`${type}:${rest}`).toString('base64');
    for (const id of [other, missing]) {
      const ids = [
        nodeId('CalendlyConnection', String(id)),
        nodeId('Base', `${id}/appABC123`),
        nodeId('Table', `${id}/appABC123/tblDEF456`),
        nodeId('Record', `${id}/appABC123/tblDEF456/recA`),
      ];
      const { data } = await app.graphql(
        'query ($ids: [ID!]!) { nodes(ids: $ids) { __typename } }',
        { ids },
        { key: viewer },
      );
      expect(data).toEqual({ nodes: [null, null, null, null] });
    }
  });

  test('does not find the webhook of a base out of its reach by its id, though its connection shares it', async () => {
    const created = await app.graphql(
      'mutation ($id: Int!) { createWebhook(input: { connection: $id, baseId: "appABC123" }) { ... on CreateWebhookSuccess { webhook { id } } ... on Error { message } } }',
      { id: other },
    );
    const { id } = created.data.createWebhook.webhook;
    const unknown = '00000000-0000-4000-8000-000000000000';
    const key = await app.app.keys.create('Reaches another base', 'admin', {
      connectionIds: [own],
      baseIds: ['appXYZ789'],
    });
    for (const name of ['refreshWebhook', 'deleteWebhook']) {
      expect(shape(await run(name, { id }, key), id)).toBe(
        shape(await run(name, { id: unknown }, key), unknown),
      );
    }
    const listed =
      'query ($id: Int!) { connection(id: $id) { ... on CalendlyConnection { webhooks { id } } } }';
    expect((await app.graphql(listed, { id: own }, { key })).data.connection.webhooks).toEqual([]);
    expect((await app.graphql(listed, { id: own }, { key: admin })).data.connection.webhooks).toEqual([
      { id },
    ]);
  });

  test('can not subscribe elsewhere', async () => {
    const subscribe = async (id: number) => {
      const response = await fetch(`${app.url}/graphql`, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          accept: 'text/event-stream',
          authorization: `Bearer ${viewer}`,
        },
        body: JSON.stringify({
          query:
            'subscription ($id: Int!) { recordChanges(connection: $id, baseId: "appABC123") { __typename } }',
          variables: { id },
        }),
      });
      return leaveOpen(await response.text(), id);
    };
    const elsewhere = await subscribe(other);
    expect(elsewhere).toContain('CONNECTION_NOT_FOUND');
    expect(elsewhere).toBe(await subscribe(missing));
  });

  test('that ends at a base sees no difference between another base and none', async () => {
    const { data: all } = await app.graphql(
      'query ($id: Int!) { connection(id: $id) { ... on CalendlyConnection { bases { nodes { id } } } } }',
      { id: own },
    );
    const others = all.connection.bases.nodes
      .map((node: { id: string }) => node.id)
      .filter((id: string) => id !== 'appABC123');
    expect(others.length).toBeGreaterThan(0);
    const { data } = await app.graphql(
      'query ($id: Int!) { connection(id: $id) { ... on CalendlyConnection { bases { nodes { id } } } } }',
      { id: own },
      { key: ownBaseOnly },
    );
    expect(data.connection.bases.nodes).toEqual([{ id: 'appABC123' }]);
    const documents = [
      'query ($id: Int!, $base: String!) { base(connection: $id, baseId: $base) { id name tables { id } } }',
      'query ($id: Int!, $base: String!) { connection(id: $id) { ... on CalendlyConnection { base(id: $base) { id name } } } }',
      'query ($id: Int!, $base: String!) { changes(connection: $id, baseId: $base) { nodes { __typename } } }',
      'mutation ($id: Int!, $base: String!) { createWebhook(input: { connection: $id, baseId: $base }) { __typename ... on Error { code message } } }',
    ];
    for (const document of documents) {
      const hidden = await app.graphql(document, { id: own, base: others[0] }, { key: ownBaseOnly });
      const nowhere = await app.graphql(document, { id: own, base: 'appNOWHERE' }, { key: ownBaseOnly });
      expect(shape(hidden, others[0])).toBe(shape(nowhere, 'appNOWHERE'));
      expect(shape(hidden, others[0])).toContain('BASE_NOT_FOUND');
    }
  });
});
