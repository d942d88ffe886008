import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { startTestApp, type TestApp } from '../support/app.ts';
import { Subscriber, until } from '../changes/subscriber.ts';
import { addContacts, crm } from '../changes/upstream-edits.ts';
import { ask, heldUpstream, webhooksOf } from './operations.ts';

let app: TestApp;
let connection: number;

beforeAll(async () => {
  app = await startTestApp({ config: { role: 'web' } });
  connection = await app.connect();
});
afterAll(() => app.close());

const unusedFor = (days: number) =>
  app.database.query('UPDATE change_feeds SET used_at = clock_timestamp() - make_interval(days => $1)', [
    days,
  ]);

const isUnused = async () =>
  (
    await app.database.query(
      `SELECT 1 FROM change_feeds WHERE used_at < clock_timestamp() - interval '1 day'`,
    )
  ).length > 0;

it('deletes a webhook that nobody used for so long, and tells the gap to whoever comes back', async () => {
  const before = await new Subscriber(app, { connection, baseId: crm.baseId }).started();
  await before.cut();
  await unusedFor(29);
  await (await app.another({ role: 'all', webhookIdleDays: 30 })).close();
  expect(await heldUpstream(app)).toHaveLength(1);

  await unusedFor(31);
  await (await app.another({ role: 'all', webhookIdleDays: 0 })).close();
  expect(await heldUpstream(app)).toHaveLength(1);

  await app.database.query(`
    INSERT INTO change_feeds (client_id, base_id, generation) VALUES ('another', '${crm.baseId}', 7);
    INSERT INTO webhooks (id, feed_id, generation, state, problem, created_at, ended_at)
    SELECT gen_random_uuid(), id, row.generation, row.state, row.problem, now() - make_interval(days => created),
           now() - make_interval(days => ended)
    FROM change_feeds, (VALUES
      (7, 'deleted', 'kept: the newest', 99, 99), (6, 'deleted', 'kept: ended lately', 99, 29), (5, 'deleted', 'gone', 99, 31),
      (4, 'failed', 'kept: failed lately', 29, NULL), (3, 'failed', 'gone', 31, NULL)
    ) AS row (generation, state, problem, created, ended) WHERE client_id = 'another'`);
  const keeper = await app.another({ role: 'all', webhookIdleDays: 30 });
  await until(async () => (await heldUpstream(app)).length === 0);
  const dead = () =>
    app.database.query(
      `SELECT problem FROM webhooks JOIN change_feeds AS f ON f.id = feed_id WHERE f.client_id = 'another' ORDER BY 1`,
    );
  await until(async () => (await dead()).length === 3);
  expect((await dead()).map(({ problem }) => String(problem).split(':')[0])).toEqual([
    'kept',
    'kept',
    'kept',
  ]);
  expect(await webhooksOf(app, connection)).toEqual([]);
  await addContacts(app, 1);
  const back = await new Subscriber(app, { connection, baseId: crm.baseId, after: before.cursor }).started();
  await until(() => back.losses.length === 1);
  expect(back.losses[0]?.reason).toBe('WEBHOOK_GONE');
  const [recordId] = await addContacts(app, 1);
  await until(() => back.changes.length === 1);
  expect(back.changes[0]?.recordId).toBe(recordId);
  await back.cut();
  await keeper.close();
  await app.database.query(`DELETE FROM change_feeds WHERE client_id = 'another'`);
});

it('takes subscriptions, queries of the log, and the care of admins for uses', async () => {
  const [webhook] = await webhooksOf(app, connection);
  const uses: (() => Promise<unknown>)[] = [
    async () => (await new Subscriber(app, { connection, baseId: crm.baseId }).started()).cut(),
    () =>
      ask(
        app,
        `query ($id: Int!, $baseId: String!) { changes(connection: $id, baseId: $baseId) { loggedSince } }`,
        {
          id: connection,
          baseId: crm.baseId,
        },
      ),
    () =>
      ask(
        app,
        `mutation ($id: Int!, $baseId: String!) { createWebhook(input: { connection: $id, baseId: $baseId }) { __typename } }`,
        { id: connection, baseId: crm.baseId },
      ),
    () =>
      ask(app, `mutation ($id: String!) { refreshWebhook(input: { id: $id }) { __typename } }`, {
        id: webhook?.id,
      }),
  ];
  for (const use of uses) {
    await unusedFor(2);
    await use();
    expect(await isUnused()).toBe(false);
  }
  await unusedFor(2);
  await webhooksOf(app, connection);
  expect(await isUnused()).toBe(true);
});
