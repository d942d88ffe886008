import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { control, startTestApp, type TestApp } from '../support/app.ts';
import { Subscriber, until } from '../changes/subscriber.ts';
import { addContacts, countCalls, crm, ledger, ledgerEnd, told } from '../changes/upstream-edits.ts';
import {
  ask,
  createDocument,
  createWebhook,
  disconnect,
  heldUpstream,
  otherBase,
  webhooksOf,
} from './operations.ts';

let app: TestApp;
let other: TestApp;

beforeAll(async () => {
  app = await startTestApp();
  other = await app.another();
});
afterAll(async () => {
  await other.close();
  await app.close();
});

it('names missing scopes before anything is sent', async () => {
  const connection = await app.connect({ scopes: 'READ_ONLY' });
  const { total } = await control<{ total: number }>(app.sandbox.url, 'calls');
  const { errors } = await app.graphql(createDocument, { connection, baseId: crm.baseId });
  expect(errors?.[0]).toMatchObject({
    extensions: { code: 'SCOPE_MISSING', missingScopes: ['webhook:manage'] },
  });
  const subscriber = new Subscriber(app, { connection, baseId: crm.baseId });
  await until(() => subscriber.errors.length > 0);
  expect(subscriber.errors[0]?.extensions?.code).toBe('SCOPE_MISSING');
  await subscriber.cut();
  expect((await control<{ total: number }>(app.sandbox.url, 'calls')).total).toBe(total);
});

it('keeps nothing of bases that are not there, and of webhooks that the upstream refused to make', async () => {
  const connection = await app.connect();
  const stored = async () =>
    (await app.database.query('SELECT id::text FROM change_feeds UNION ALL SELECT id::text FROM webhooks'))
      .length;
  const before = await countCalls(app, 'createWebhook');
  for (const baseId of ['appAAAAAAAAAAAAAA', 'appBBBBBBBBBBBBBB']) {
    const invented = new Subscriber(app, { connection, baseId });
    await until(() => invented.errors.length > 0);
    expect(invented.errors[0]?.extensions?.code).toBe('BASE_NOT_FOUND');
    await invented.cut();
  }
  expect(await stored()).toBe(0);
  expect(await countCalls(app, 'createWebhook')).toBe(before);

  await control(app.sandbox.url, 'faults', {
    match: { method: 'POST', path: '/v0/bases/*/webhooks' },
    times: 2,
    kind: 'status',
    status: 403,
  });
  for (let time = 0; time < 2; time += 1) {
    const { errors } = await app.graphql(createDocument, { connection, baseId: crm.baseId });
    expect(errors?.[0]?.extensions.code).toBe('UPSTREAM_FORBIDDEN');
  }
  expect(await stored()).toBe(1);
  await disconnect(app, connection);
});

it('creates one webhook, however many ask for it on two instances at once, and both deliver', async () => {
  const [first, second] = [await app.connect(), await app.connect()];
  const start = await ledgerEnd(app);
  const created = await countCalls(app, 'createWebhook');
  const subscribers = [app, other, app, other].map(
    (instance, index) =>
      new Subscriber(instance, { connection: index < 2 ? first : second, baseId: crm.baseId }),
  );
  await Promise.all(subscribers.map((subscriber) => subscriber.started()));
  expect((await countCalls(app, 'createWebhook')) - created).toBe(1);
  expect(await heldUpstream(app)).toHaveLength(1);
  await addContacts(app, 5);
  const truth = await ledger(app, start);
  await until(() => subscribers.every(({ changes }) => changes.length >= truth.length));
  for (const subscriber of subscribers) expect(told(subscriber.changes)).toEqual(truth);
  await Promise.all(subscribers.map((subscriber) => subscriber.cut()));
});

it('hands the webhook over when its connection goes, and deletes it with the last one', async () => {
  const { connections } = await ask<{ connections: { id: number; scopes: string[] }[] }>(
    app,
    '{ connections(state: CONNECTED) { id ... on CalendlyConnection { scopes } } }',
  );
  const ids = connections.filter(({ scopes }) => scopes.includes('webhook:manage')).map(({ id }) => id);
  expect(ids).toHaveLength(2);
  const [held] = await heldUpstream(app);
  const [row] = await app.database.query('SELECT connection_id FROM webhooks WHERE upstream_id = $1', [
    held?.id,
  ]);
  const owner = Number(row?.connection_id);
  const heir = ids.find((id) => id !== owner) ?? 0;
  const subscriber = await new Subscriber(other, { connection: heir, baseId: crm.baseId }).started();

  expect(await disconnect(app, owner)).toEqual({ webhooksDeleted: 0, webhooksFailed: 0 });
  expect(await heldUpstream(app)).toEqual([expect.objectContaining({ id: held?.id })]);
  const [recordId] = await addContacts(app, 1);
  await until(() => subscriber.changes.length === 1);
  expect(subscriber.changes[0]?.recordId).toBe(recordId);

  expect(await disconnect(app, heir)).toEqual({ webhooksDeleted: 1, webhooksFailed: 0 });
  expect(await heldUpstream(app)).toEqual([]);
  await subscriber.cut();
});

it('does not let a connection read the log of a base that it was not granted', async () => {
  const owner = await app.connect();
  await createWebhook(app, owner);
  const stranger = await app.connect({ bases: [await otherBase(app, owner)] });
  const changes = await app.graphql(
    `query ($id: Int!, $baseId: String!) { changes(connection: $id, baseId: $baseId) { nodes { recordId } } }`,
    { id: stranger, baseId: crm.baseId },
  );
  expect(changes).toMatchObject({
    data: { changes: null },
    errors: [{ extensions: { code: 'BASE_NOT_FOUND' } }],
  });
  const subscriber = new Subscriber(app, { connection: stranger, baseId: crm.baseId });
  await until(() => subscriber.errors.length > 0);
  expect(subscriber.errors[0]?.extensions?.code).toBe('BASE_NOT_FOUND');
  await subscriber.cut();
});

it('refreshes and deletes webhooks, for admins alone', async () => {
  const [row] = await app.database.query(`SELECT connection_id FROM webhooks WHERE state = 'active'`);
  const connection = Number(row?.connection_id);
  const [webhook] = await webhooksOf(app, connection);
  expect(webhook).toMatchObject({ baseId: crm.baseId, state: 'ACTIVE' });
  const change = (name: string, id: string | undefined, options: { key?: string } = {}) =>
    app.graphql<Record<string, { __typename: string }>>(
      `mutation ($id: String!) { result: ${name}(input: { id: $id }) { __typename } }`,
      { id },
      options,
    );
  const key = await app.app.keys.create('Editor', 'editor');
  for (const name of ['refreshWebhook', 'deleteWebhook']) {
    expect((await change(name, webhook?.id, { key })).errors?.[0]?.extensions.code).toBe('FORBIDDEN');
  }
  const refused = await app.graphql(createDocument, { connection, baseId: crm.baseId }, { key });
  expect(refused.errors?.[0]?.extensions.code).toBe('FORBIDDEN');
  expect((await change('refreshWebhook', 'none')).errors?.[0]?.extensions.code).toBe('WEBHOOK_NOT_FOUND');
  expect((await change('refreshWebhook', webhook?.id)).data?.result?.__typename).toBe(
    'RefreshWebhookSuccess',
  );
  expect((await change('deleteWebhook', webhook?.id)).data?.result?.__typename).toBe('DeleteWebhookSuccess');
  expect(await heldUpstream(app)).toEqual([]);
  expect(await webhooksOf(app, connection)).toEqual([]);
});
