import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { EntityManager } from 'typeorm';
import { control, startTestApp, type TestApp } from '../support/app.ts';
import { Subscriber, until } from '../changes/subscriber.ts';
import { addContacts, crm } from '../changes/upstream-edits.ts';
import {
  changeWebhooks,
  checkSoon,
  createDocument,
  createWebhook,
  deleteUpstream,
  disconnect,
  grantAgain,
  heldUpstream,
  otherBase,
  webhooksOf,
} from './operations.ts';

let app: TestApp;
/** Time that has passed beyond what did, in milliseconds. */
let aheadMs = 0;

beforeEach(async () => {
  aheadMs = 0;
  app = await startTestApp({ clock: { now: () => Date.now() + aheadMs } });
});
afterEach(() => app.close());

const changesDocument = `query ($connection: Int!, $baseId: String!) { changes(connection: $connection, baseId: $baseId) { nodes { recordId } } }`;

function readLog(instance: TestApp, connection: number) {
  return instance.graphql(changesDocument, { connection, baseId: crm.baseId });
}

it('lets nobody read a base that the next grant left out, not even who holds its webhook, on any instance', async () => {
  const other = await app.another();
  try {
    const connection = await app.connect();
    await createWebhook(app, connection);
    for (const instance of [app, other]) expect((await readLog(instance, connection)).errors).toBeUndefined();
    await grantAgain(app, connection, [await otherBase(app, connection)]);
    for (const instance of [app, other]) {
      expect((await readLog(instance, connection)).errors?.[0]?.extensions.code).toBe('BASE_NOT_FOUND');
      const subscriber = new Subscriber(instance, { connection, baseId: crm.baseId });
      await until(() => subscriber.errors.length > 0);
      expect(subscriber.errors[0]).toMatchObject({ extensions: { code: 'BASE_NOT_FOUND' } });
      await subscriber.cut();
    }
  } finally {
    await other.close();
  }
});

it('ends what runs when the next grant leaves the base out, on any instance, and nothing else', async () => {
  const other = await app.another();
  try {
    const [leaving, staying] = [await app.connect(), await app.connect()];
    const following = (instance: TestApp, connection: number) =>
      new Subscriber(instance, { connection, baseId: crm.baseId }).started();
    const ending = await Promise.all([following(app, leaving), following(other, leaving)]);
    const running = await following(other, staying);
    // A grant that has the base like the one before ends nothing.
    await grantAgain(app, staying, ['all']);
    await grantAgain(app, leaving, [await otherBase(app, leaving)]);
    const grantedAt = Date.now();
    await until(() => ending.every(({ ended }) => ended));
    expect(Date.now() - grantedAt).toBeLessThan(8_000);
    for (const { errors } of ending)
      expect(errors[0]).toMatchObject({ extensions: { code: 'BASE_NOT_FOUND' } });
    const [recordId] = await addContacts(app, 1);
    await until(() => running.changes.some((change) => change.recordId === recordId));
    expect(running.errors).toEqual([]);
    await Promise.all([...ending, running].map((subscriber) => subscriber.cut()));
  } finally {
    await other.close();
  }
});

it('ends what runs some minutes after the upstream took the base from a grant by itself', async () => {
  const connection = await app.connect();
  const subscriber = await new Subscriber(app, { connection, baseId: crm.baseId }).started();
  await control(app.sandbox.url, 'faults', {
    match: { method: 'GET', path: '/v0/meta/bases/*/tables' },
    kind: 'status',
    status: 403,
    body: JSON.stringify({ error: { type: 'INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND', message: 'Gone' } }),
    contentType: 'application/json',
  });
  const rename = (name: string) =>
    app.graphql(
      `mutation ($connection: Int!, $name: String!) { updateConnection(input: { connection: $connection, name: $name }) { __typename } }`,
      { connection, name },
    );
  await rename('Looked at at once');
  const [recordId] = await addContacts(app, 1);
  await until(() => subscriber.changes.some((change) => change.recordId === recordId));
  expect(subscriber.errors).toEqual([]);
  aheadMs += 11 * 60_000;
  await rename('Looked at later');
  await until(() => subscriber.errors.length > 0);
  expect(subscriber.errors[0]).toMatchObject({ extensions: { code: 'BASE_NOT_FOUND' } });
  await subscriber.cut();
});

it('ends what runs through a connection at once when its changes can not be pulled through it any more', async () => {
  const other = await app.another();
  try {
    const follow = (instance: TestApp, connection: number) =>
      new Subscriber(instance, { connection, baseId: crm.baseId }).started();
    // It is the one whose webhook it is.
    const leaving = await app.connect();
    const ending = await Promise.all([follow(app, leaving), follow(other, leaving)]);
    const { grants } = await control<{ grants: { id: string }[] }>(app.sandbox.url, 'grants');
    const staying = await app.connect();
    const running = await follow(other, staying);
    await control(app.sandbox.url, 'grants', {
      grantId: grants.at(-1)?.id,
      baseIds: [await otherBase(app, leaving)],
    });
    const [recordId] = await addContacts(app, 1);
    await until(() => ending.every(({ ended }) => ended));
    for (const { errors } of ending)
      expect(errors[0]).toMatchObject({ extensions: { code: 'BASE_NOT_FOUND' } });
    await until(() => running.changes.some((change) => change.recordId === recordId));
    expect(running.errors).toEqual([]);
    await Promise.all([...ending, running].map((subscriber) => subscriber.cut()));
  } finally {
    await other.close();
  }
});

it('says that a base is not there to who reads a log that nobody began, with one call at most', async () => {
  const connection = await app.connect();
  const readOf = (baseId: string) => app.graphql(changesDocument, { connection, baseId });
  const missing = await readOf('appNowhere0000000');
  expect(missing.errors?.[0]?.extensions.code).toBe('BASE_NOT_FOUND');
  expect(missing.data).toEqual({ changes: null });
  const before = await control<{ total: number }>(app.sandbox.url, 'calls');
  for (let times = 0; times < 2; times += 1) {
    const { data, errors } = await readOf(crm.baseId);
    expect([errors, data]).toEqual([undefined, { changes: { nodes: [] } }]);
  }
  const after = await control<{ total: number }>(app.sandbox.url, 'calls');
  expect(after.total - before.total).toBe(1);
});

it('says of a base without a webhook that it is not there, when the grant does not have it', async () => {
  const connection = await app.connect();
  await grantAgain(app, connection, [await otherBase(app, connection)]);
  const subscriber = new Subscriber(app, { connection, baseId: crm.baseId });
  await until(() => subscriber.errors.length > 0);
  expect(subscriber.errors[0]).toMatchObject({ extensions: { code: 'BASE_NOT_FOUND' } });
  await subscriber.cut();
});

it('hands a webhook over when the next grant of its connection left the base out', async () => {
  const [owner, heir] = [await app.connect(), await app.connect()];
  await createWebhook(app, owner);
  const held = await heldUpstream(app);
  const subscriber = await new Subscriber(app, { connection: heir, baseId: crm.baseId }).started();
  await grantAgain(app, owner, [await otherBase(app, owner)]);
  const [recordId] = await addContacts(app, 1);
  await until(() => subscriber.changes.length === 1);
  expect(subscriber.changes[0]?.recordId).toBe(recordId);
  expect(await heldUpstream(app)).toMatchObject(held.map(({ id }) => ({ id })));
  expect(await app.database.query('SELECT connection_id FROM webhooks')).toEqual([{ connection_id: heir }]);
  await subscriber.cut();
});

it('hands nothing over to a connection that may not read the schema, and makes it a webhook of its own', async () => {
  const [owner, heir] = [await app.connect(), await app.connect()];
  await app.database.query(
    `UPDATE connections SET granted_scopes = array_remove(granted_scopes, 'schema.bases:read') WHERE id = $1`,
    [heir],
  );
  await createWebhook(app, owner);
  const [wide] = await heldUpstream(app);
  const subscriber = await new Subscriber(app, { connection: heir, baseId: crm.baseId }).started();
  await disconnect(app, owner);
  expect(await heldUpstream(app)).toEqual([]);
  // The seconds for which somebody who deleted it by mistake may think again.
  await changeWebhooks(app, `ended_at = ended_at - interval '1 min'`, `state = 'deleted'`);
  await until(() => subscriber.losses.length > 0);
  expect(subscriber.losses).toMatchObject([{ reason: 'WEBHOOK_GONE' }]);
  const [recordId] = await addContacts(app, 1);
  await until(() => subscriber.changes.some((change) => change.recordId === recordId));
  expect(await heldUpstream(app)).toMatchObject([{ id: expect.not.stringMatching(`^${wide?.id}$`) }]);
  expect(
    await app.database.query(`SELECT connection_id, data_types FROM webhooks WHERE state = 'active'`),
  ).toEqual([{ connection_id: heir, data_types: ['tableData'] }]);
  expect(subscriber.errors).toEqual([]);
  await subscriber.cut();
});

describe('a webhook that nobody may read any more', () => {
  const hasState = (state: string, connection: number) =>
    until(async () => {
      const rows = await app.database.query(
        `SELECT 1 FROM webhooks WHERE state = $1 AND connection_id = $2`,
        [state, connection],
      );
      return rows.length === 1;
    });

  /** A subscriber who has seen the log, then a grant without the base, and what happens to it meanwhile. */
  async function givenUp(meanwhile: () => Promise<unknown>) {
    const owner = await app.connect();
    const before = await new Subscriber(app, { connection: owner, baseId: crm.baseId }).started();
    await before.cut();
    await grantAgain(app, owner, [await otherBase(app, owner)]);
    await checkSoon(app);
    await hasState('lost', owner);
    await meanwhile();
    const heir = await app.connect();
    await changeWebhooks(app, 'check_lease_until = NULL');
    await hasState('active', heir);
    expect(await heldUpstream(app)).toHaveLength(1);
    const place = { connection: heir, baseId: crm.baseId, after: before.cursor };
    return new Subscriber(app, place).started();
  }

  it('is taken up again with all that it recorded, when somebody may later on', async () => {
    let added: string[] = [];
    const subscriber = await givenUp(async () => (added = await addContacts(app, 2)));
    await until(() => subscriber.changes.length === 2);
    expect(subscriber.changes.map(({ recordId }) => recordId)).toEqual(added);
    expect(subscriber.losses).toEqual([]);
    await subscriber.cut();
  });

  it('is replaced when the upstream has deleted it meanwhile, and the gap is told from its beginning', async () => {
    const begun = Date.now();
    const subscriber = await givenUp(async () => {
      const [held] = await heldUpstream(app);
      await deleteUpstream(app, held?.id ?? '');
      // Seen alive, and never pulled.
      await changeWebhooks(app, 'last_drained_at = NULL, checked_at = clock_timestamp()', `state = 'lost'`);
    });
    await until(() => subscriber.losses.length === 1);
    const [loss] = subscriber.losses;
    expect(loss?.reason).toBe('WEBHOOK_GONE');
    const [old] = await app.database.query(`SELECT created_at FROM webhooks WHERE state = 'deleted'`);
    expect(new Date(loss?.since ?? 0)).toEqual(old?.created_at);
    expect(Date.parse(loss?.until ?? '')).toBeGreaterThan(begun);
    await subscriber.cut();
  });
});

it('keeps a shared webhook when its connection leaves while the upstream can not say who may have it', async () => {
  const [owner, heir] = [await app.connect(), await app.connect()];
  await createWebhook(app, owner);
  const [held] = await heldUpstream(app);
  const subscriber = await new Subscriber(app, { connection: heir, baseId: crm.baseId }).started();
  await control(app.sandbox.url, 'faults', {
    match: { method: 'GET', path: '/v0/bases/*/webhooks' },
    times: 1,
    kind: 'malformed',
    effect: 'before',
  });
  expect(await disconnect(app, owner)).toEqual({ webhooksDeleted: 0, webhooksFailed: 0 });
  expect(await heldUpstream(app)).toEqual([expect.objectContaining({ id: held?.id })]);
  const [recordId] = await addContacts(app, 1);
  await checkSoon(app);
  await until(() => subscriber.changes.length === 1);
  expect(subscriber.changes[0]?.recordId).toBe(recordId);
  expect(subscriber.losses).toEqual([]);
  await subscriber.cut();
});

it("tells nobody of another connection's failure to create the webhook", async () => {
  const able = await app.connect();
  const unable = await app.connect();
  await control(app.sandbox.url, 'faults', {
    match: { method: 'POST', path: '/v0/bases/*/webhooks' },
    times: 1,
    kind: 'status',
    status: 403,
    delayMs: 1_000,
  });
  const refused = app.graphql(createDocument, { connection: unable, baseId: crm.baseId });
  await until(
    async () => (await app.database.query(`SELECT 1 FROM webhooks WHERE state = 'creating'`)).length === 1,
  );
  const subscriber = await new Subscriber(app, { connection: able, baseId: crm.baseId }).started();
  expect((await refused).errors?.[0]?.extensions.code).toBe('UPSTREAM_FORBIDDEN');
  expect(await heldUpstream(app)).toHaveLength(1);
  await subscriber.cut();
});

it('shows a shared webhook through every connection that may read its base, and through no other', async () => {
  const owner = await app.connect();
  const sharing = await app.connect();
  const stranger = await app.connect({ bases: [await otherBase(app, owner)] });
  await createWebhook(app, owner);
  const id = await createWebhook(app, sharing);
  for (const connection of [owner, sharing])
    expect(await webhooksOf(app, connection)).toMatchObject([{ id }]);
  expect(await webhooksOf(app, stranger)).toEqual([]);

  const run = async (name: string, connection: number) => {
    const key = await app.app.keys.create(`${name} ${connection}`, 'admin', { connectionIds: [connection] });
    const { data, errors } = await app.graphql<Record<string, { __typename: string }>>(
      `mutation ($id: String!) { result: ${name}(input: { id: $id }) { __typename } }`,
      { id },
      { key },
    );
    return errors?.[0]?.extensions.code ?? data?.result?.__typename;
  };
  for (const name of ['refreshWebhook', 'deleteWebhook'])
    expect(await run(name, stranger)).toBe('WEBHOOK_NOT_FOUND');
  expect(await run('refreshWebhook', sharing)).toBe('RefreshWebhookSuccess');
  expect(await run('deleteWebhook', sharing)).toBe('DeleteWebhookSuccess');
  expect(await heldUpstream(app)).toEqual([]);
});

it('deletes a connection without a deadlock while somebody works through its webhooks in their order', async () => {
  const connection = await app.connect();
  const [feed] = await app.database.query(
    `INSERT INTO change_feeds (client_id, base_id) VALUES ('deadlock', 'appDEADLOCK') RETURNING id`,
  );
  // The higher id lies first on disk, and so comes first to whoever does not ask for an order.
  const [low, high] = ['0', 'f'].map((digit) => `${digit.repeat(8)}-0000-4000-8000-000000000000`);
  for (const [generation, id] of [high, low].entries())
    await app.database.query(
      `INSERT INTO webhooks (id, feed_id, generation, connection_id, state) VALUES ($1, $2, $3, $4, 'failed')`,
      [id, feed?.id, generation + 1, connection],
    );
  const lock = (sql: EntityManager, id = '') =>
    sql.query(`SELECT 1 FROM webhooks WHERE id = $1 FOR UPDATE`, [id]);
  let deleting: Promise<unknown> = Promise.resolve();
  await app.app.database.transaction(async (sql) => {
    await lock(sql, low);
    deleting = app.graphql(
      `mutation ($connection: Int!) { deleteConnection(input: { connection: $connection }) { __typename } }`,
      { connection },
    );
    await until(
      async () =>
        (
          await app.database.query(
            `SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()`,
          )
        ).length > 0,
    );
    await lock(sql, high);
  });
  expect(await deleting).toMatchObject({
    data: { deleteConnection: { __typename: 'DeleteConnectionSuccess' } },
  });
});
