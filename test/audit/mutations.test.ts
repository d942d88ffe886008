import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { schema } from '../../src/graphql/schema.ts';
import { control, startTestApp, type TestApp } from '../support/app.ts';

/** A number that no connection has. */
const missing = 2_147_483_647;
const place = { connection: missing, baseId: 'appABC123', tableId: 'tblDEF456' };
const webhook = '00000000-0000-4000-8000-000000000000';

/** For each mutation an input that is refused, the outcome that this has for an admin, and what the entry tells. */
const mutations: Record<string, { input: object; outcome: string; tells: object }> = {
  createApiKey: {
    input: { name: 'planted-name', role: 'VIEWER', connections: [missing], bases: ['appA', 'appB'] },
    outcome: 'CONNECTION_NOT_FOUND',
    tells: { details: { input: 'bases, connections, name, role', role: 'VIEWER', connections: 1, bases: 2 } },
  },
  revokeApiKey: { input: { id: 77 }, outcome: 'API_KEY_NOT_FOUND', tells: { target: 'key:77' } },
  createConnection: {
    input: { type: 'planted-type', name: 'planted-name', clientSecret: 'planted-secret' },
    outcome: 'INVALID_INPUT',
    tells: {
      details: {
        input: 'clientSecret, name, scopes, type, withEmail',
        scopes: 'WITH_WEBHOOKS',
        withEmail: false,
      },
    },
  },
  updateConnection: {
    input: { connection: missing, clientSecret: 'planted-secret', scopes: 'READ_ONLY' },
    outcome: 'CONNECTION_NOT_FOUND',
    tells: {
      connection_id: missing,
      details: { input: 'clientSecret, connection, scopes', scopes: 'READ_ONLY' },
    },
  },
  ...Object.fromEntries(
    ['deleteConnection', 'testConnection', 'rotateTokens', 'connectConnection', 'disconnectConnection'].map(
      (name) => [
        name,
        {
          input: { connection: missing },
          outcome: 'CONNECTION_NOT_FOUND',
          tells: { connection_id: missing, target: null, details: { input: 'connection' } },
        },
      ],
    ),
  ),
  createWebhook: {
    input: { connection: missing, baseId: 'appABC123' },
    outcome: 'CONNECTION_NOT_FOUND',
    tells: { connection_id: missing, target: 'appABC123' },
  },
  refreshWebhook: {
    input: { id: webhook },
    outcome: 'WEBHOOK_NOT_FOUND',
    tells: { target: `webhook:${webhook}` },
  },
  deleteWebhook: { input: { id: 'planted id' }, outcome: 'WEBHOOK_NOT_FOUND', tells: { target: null } },
  createRecords: {
    input: {
      ...place,
      tableId: 'planted table',
      records: [{ fields: { Name: 'planted-cell' } }, { fields: {} }],
      typecast: true,
    },
    outcome: 'CONNECTION_NOT_FOUND',
    tells: {
      connection_id: missing,
      target: 'appABC123',
      details: { input: 'baseId, connection, records, tableId, typecast', records: 2, typecast: true },
    },
  },
  upsertRecords: {
    input: { ...place, fieldsToMergeOn: ['planted'], records: [{ fields: { Name: 'planted-cell' } }] },
    outcome: 'CONNECTION_NOT_FOUND',
    tells: {
      connection_id: missing,
      target: 'appABC123/tblDEF456',
      details: expect.objectContaining({ records: 1, fieldsToMergeOn: 1 }),
    },
  },
  updateRecords: {
    input: { ...place, records: [{ id: 'recNONE', fields: { Name: 'planted-cell' } }] },
    outcome: 'CONNECTION_NOT_FOUND',
    tells: {
      connection_id: missing,
      target: 'appABC123/tblDEF456',
      details: expect.objectContaining({ records: 1 }),
    },
  },
  deleteRecords: {
    input: { ...place, ids: ['recA', 'recB'] },
    outcome: 'CONNECTION_NOT_FOUND',
    tells: {
      connection_id: missing,
      target: 'appABC123/tblDEF456',
      details: expect.objectContaining({ ids: 2 }),
    },
  },
  createTrigger: {
    input: {
      ...place,
      name: 'planted-name',
      endpoint: 'https://planted.example.com/planted',
      kinds: ['CREATED'],
    },
    outcome: 'CONNECTION_NOT_FOUND',
    tells: {
      connection_id: missing,
      target: 'appABC123/tblDEF456',
      details: expect.objectContaining({ kinds: 1 }),
    },
  },
  ...Object.fromEntries(
    [
      'updateTrigger',
      'deleteTrigger',
      'pauseTrigger',
      'resumeTrigger',
      'rotateTriggerSecret',
      'testTrigger',
      'replayDeliveries',
    ].map((name) => [
      name,
      { input: { id: webhook }, outcome: 'TRIGGER_NOT_FOUND', tells: { target: `trigger:${webhook}` } },
    ]),
  ),
  createSync: {
    input: {
      ...place,
      table: 'planted.name',
      columns: [{ field: 'planted-field', column: 'planted_column' }],
    },
    outcome: 'CONNECTION_NOT_FOUND',
    tells: {
      connection_id: missing,
      target: 'appABC123/tblDEF456',
      details: expect.objectContaining({ columns: 1 }),
    },
  },
  ...Object.fromEntries(
    ['updateSync', 'deleteSync', 'pauseSync', 'resumeSync', 'reconcileSync'].map((name) => [
      name,
      { input: { id: webhook }, outcome: 'SYNC_NOT_FOUND', tells: { target: `sync:${webhook}` } },
    ]),
  ),
  runAction: {
    input: {
      action: {
        action: 'calendly.createRecord',
        connection: missing,
        config: { baseId: 'appABC123', tableId: 'tblDEF456', fields: { Name: 'planted-cell' } },
      },
      idempotencyKey: 'planted key',
    },
    outcome: 'CONNECTION_NOT_FOUND',
    tells: {
      connection_id: missing,
      target: 'appABC123/tblDEF456',
      details: { input: 'action, idempotencyKey', action: 'calendly.createRecord' },
    },
  },
};

let app: TestApp;
beforeAll(async () => {
  app = await startTestApp();
});
afterAll(() => app.close());

const run = (name: string, input: object, key = app.adminKey) =>
  app.graphql(
    `mutation ($input: ${name.charAt(0).toUpperCase()}${name.slice(1)}Input!) { ${name}(input: $input) { __typename ... on Error { code message } } }`,
    { input },
    { key },
  );

/** What the log got while something ran. */
async function entriesOf(act: () => Promise<unknown>) {
  const [last] = await app.database.query('SELECT coalesce(max(id), 0) AS id FROM audit_entries');
  await act();
  return app.database.query('SELECT * FROM audit_entries WHERE id > $1 ORDER BY id', [last?.id]);
}

const names = Object.keys(mutations);

test('each mutation of the schema has its input here', () => {
  expect(names.sort()).toEqual(Object.keys(schema.getMutationType()!.getFields()).sort());
});

describe('every mutation leaves exactly one entry', () => {
  test.each(names)('%s, of an admin', async (name) => {
    const { input, outcome, tells } = mutations[name]!;
    let requestId: string | null = null;
    const entries = await entriesOf(async () => {
      const answer = await run(name, input);
      requestId = answer.headers.get('x-request-id');
      expect(answer.data?.[name]?.code ?? answer.errors?.[0]?.extensions.code).toBe(outcome);
    });
    expect(entries).toEqual([
      expect.objectContaining({
        actor_id: 'key:1',
        actor_name: 'configured admin key',
        action: name,
        outcome,
        request_id: requestId,
        ...tells,
      }),
    ]);
    expect(JSON.stringify(entries)).not.toContain('planted');
  });

  test.each(names)('%s, refused by role', async (name) => {
    const key = await app.app.keys.create('The viewer', 'viewer');
    const entries = await entriesOf(() => run(name, mutations[name]!.input, key));
    expect(entries).toEqual([
      expect.objectContaining({
        actor_id: expect.stringMatching(/^key:\d+$/),
        actor_name: 'The viewer',
        action: name,
        outcome: 'FORBIDDEN',
      }),
    ]);
  });
});

describe('the audit log of a connection', () => {
  test('tells of its whole life, and holds no secret of it', async () => {
    const secrets = ['secret_calendly_abc123', `cell-${randomBytes(9).toString('hex')}`];
    let id = 0;
    const entries = await entriesOf(async () => {
      id = await app.connect({ name: 'Audited' });
      const created = await app.graphql(
        `mutation { createApiKey(input: { name: "made", role: EDITOR }) { ... on CreateApiKeySuccess { key apiKey { id } } } }`,
      );
      secrets.push(created.data.createApiKey.key);
      await run('revokeApiKey', { id: created.data.createApiKey.apiKey.id });
      const at = { connection: id, baseId: 'appABC123' };
      await run('createRecords', {
        ...at,
        tableId: 'tblDEF456',
        records: [{ fields: { Name: secrets[1] } }, { fields: { 'No such field': secrets[1] } }],
      });
      const made = await app.graphql(
        'mutation ($input: CreateWebhookInput!) { createWebhook(input: $input) { ... on CreateWebhookSuccess { webhook { id } } } }',
        { input: at },
      );
      await run('refreshWebhook', { id: made.data.createWebhook.webhook.id });
      await run('deleteWebhook', { id: made.data.createWebhook.webhook.id });
      await run('testConnection', { connection: id });
      await run('rotateTokens', { connection: id });
      await run('deleteConnection', { connection: id });
    });
    const outcomes = entries.map(({ action, connection_id, target, outcome }) =>
      [action, connection_id, target, outcome].join(' '),
    );
    const hook = expect.stringMatching(/^\w+Webhook 1 webhook:[0-9a-f-]{36} ok$/);
    expect(id).toBe(1);
    expect(outcomes.filter((line) => !/Authorization/.test(line))).toEqual([
      'createConnection 1  ok',
      'connectConnection 1  ok',
      expect.stringMatching(/^createApiKey {2}key:\d+ ok$/),
      expect.stringMatching(/^revokeApiKey {2}key:\d+ ok$/),
      'createRecords 1 appABC123/tblDEF456 ok',
      'createWebhook 1 appABC123 ok',
      hook,
      hook,
      'testConnection 1  ok',
      'rotateTokens 1  ok',
      'deleteConnection 1  ok',
    ]);
    expect(entries.find(({ action }) => action === 'createRecords')?.details).toMatchObject({
      records: 2,
      WRITTEN: 1,
      FAILED: 1,
    });
    const { issued }: { issued: { kind: string; value: string }[] } = await control(
      app.sandbox.url,
      'issued',
    );
    expect(issued.map(({ kind }) => kind)).toEqual(
      expect.arrayContaining(['accessToken', 'webhookMacSecret']),
    );
    const log = JSON.stringify(await app.database.query('SELECT * FROM audit_entries'));
    for (const secret of [...secrets, app.adminKey, ...issued.map(({ value }) => value)])
      expect(log).not.toContain(secret);
  });
});
