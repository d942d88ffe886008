import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { encodeCursor, feedKey } from '../../src/changes/position.ts';
import { grantToken } from '../support/sandbox-grant.ts';
import { startTestApp, type TestApp } from '../support/app.ts';
import { Subscriber, until } from './subscriber.ts';
import { webhooksOf } from '../webhooks/operations.ts';
import { addContacts, crm, dropPings, ledger, ledgerEnd, told } from './upstream-edits.ts';

let app: TestApp;
let connection: number;

beforeAll(async () => {
  app = await startTestApp();
  connection = await app.connect();
});
afterAll(() => app.close());

const subscribe = (variables: object = {}) =>
  new Subscriber(app, { connection, baseId: crm.baseId, ...variables });

interface Page {
  changes: {
    nodes: { kind: string; recordId: string }[];
    losses: { reason: string; since: string | null; until: string }[];
    pageInfo: { endCursor: string | null; hasNextPage: boolean };
  } | null;
}

const page = (variables: object) =>
  app.graphql<Page>(
    `query ($connection: Int!, $baseId: String!, $after: Cursor, $first: Int) {
      changes(connection: $connection, baseId: $baseId, after: $after, first: $first) {
        nodes { kind recordId } losses { reason since until } pageInfo { endCursor hasNextPage }
      }
    }`,
    { connection, baseId: crm.baseId, ...variables },
  );

it('announces the gap when the webhook was deleted upstream, and goes on with a new one', async () => {
  const subscriber = await subscribe().started();
  const empty = await page({});
  await addContacts(app, 1);
  await until(() => subscriber.changes.length === 1);
  const [webhook] = await app.database.query('SELECT id, upstream_id FROM webhooks');
  const deletedAt = Date.now();
  const { accessToken } = await grantToken(app.sandbox.url);
  const deleted = await fetch(
    `${app.sandbox.url}/v0/bases/${crm.baseId}/webhooks/${String(webhook?.upstream_id)}`,
    {
      method: 'DELETE',
      headers: { authorization: `Bearer ${accessToken}` },
    },
  );
  expect(deleted.ok).toBe(true);
  await addContacts(app, 1);
  const lostAt = Date.now();
  await app.database.query('UPDATE webhooks SET drain_wanted_at = clock_timestamp()');
  await until(() => subscriber.losses.length === 1);
  expect(subscriber.losses[0]?.reason).toBe('WEBHOOK_GONE');
  expect(Date.parse(subscriber.losses[0]?.since ?? '')).toBeLessThanOrEqual(deletedAt);
  expect(Date.parse(subscriber.losses[0]?.until ?? '')).toBeGreaterThanOrEqual(lostAt);

  const end = await ledgerEnd(app);
  await addContacts(app, 2);
  await until(() => subscriber.changes.length === 3);
  expect(told(subscriber.changes).slice(1)).toEqual(await ledger(app, end));
  const { data } = await page({});
  expect(data?.changes?.losses).toEqual([expect.objectContaining({ reason: 'WEBHOOK_GONE' })]);

  // Who was away since there was nothing in the log is told as well, at the same place.
  const after = empty.data?.changes?.pageInfo.endCursor;
  expect(after).toEqual(expect.any(String));
  const late = await subscribe({ after }).started();
  await until(() => late.changes.length === 3);
  expect(late.events.slice(1).map(({ cursor }) => cursor)).toEqual(
    subscriber.events.slice(1).map(({ cursor }) => cursor),
  );
  await Promise.all([subscriber.cut(), late.cut()]);
});

it('makes a new webhook for those who still listen when somebody deletes it by hand', async () => {
  const subscriber = await subscribe().started();
  const [webhook] = await webhooksOf(app, connection);
  await app.graphql(`mutation ($id: String!) { deleteWebhook(input: { id: $id }) { __typename } }`, {
    id: webhook?.id,
  });
  await until(() => subscriber.losses.length === 1);
  await addContacts(app, 1);
  await until(() => subscriber.changes.length === 1);
  await subscriber.cut();
});

it('reads the log in pages', async () => {
  const all = await page({ first: 1_000 });
  const nodes = all.data?.changes?.nodes ?? [];
  const read: Page['changes'][] = [];
  let after: string | null = null;
  do {
    const { data }: { data: Page | null } = await page({ first: 2, after });
    read.push(data?.changes ?? null);
    after = data?.changes?.pageInfo.endCursor ?? null;
  } while (read.at(-1)?.pageInfo.hasNextPage);
  expect(read.flatMap((one) => one?.nodes ?? [])).toEqual(nodes);
  expect(nodes.length).toBeGreaterThan(3);
  expect((await page({ first: 1_001 })).errors?.[0]?.extensions.code).toBe('TOO_MANY');
});

it('tells a subscriber whose cursor is older than the log what was lost, and refuses the cursor to queries', async () => {
  const subscriber = await subscribe().started();
  const old = subscriber.cursor;
  await addContacts(app, 3);
  await until(() => subscriber.changes.length === 3);
  const kept = subscriber.changes[2];
  await subscriber.cut();
  await app.database.query(
    `UPDATE changes SET logged_at = now() - interval '31 days'
     WHERE (generation, payload, ordinal) < (SELECT generation, payload, ordinal FROM changes ORDER BY 1 DESC, 2 DESC, 3 DESC LIMIT 1)`,
  );
  await app.database.query(`UPDATE change_feeds SET pruned_until = pruned_until - interval '31 days'`);
  const [pruned] = await app.database.query(
    `SELECT max(logged_at) AS until FROM changes WHERE logged_at < now() - interval '30 days'`,
  );
  expect(await app.app.changeLog.prune(30)).toBeGreaterThan(2);
  expect(await app.database.query('SELECT count(*)::int AS count FROM changes')).toEqual([{ count: 1 }]);

  const back = await subscribe({ after: old }).started();
  await until(() => back.changes.length === 1);
  expect(back.events.slice(0, 3).map(({ __typename }) => __typename)).toEqual([
    'FeedPosition',
    'ChangesLost',
    'RecordChange',
  ]);
  expect(back.losses[0]).toMatchObject({
    reason: 'CURSOR_PRUNED',
    since: null,
    until: (pruned?.until as Date).toISOString(),
  });
  expect(back.changes[0]).toEqual(kept);
  await back.cut();

  expect((await page({ after: old })).errors?.[0]?.extensions.code).toBe('CURSOR_EXPIRED');
  expect((await page({ after: back.losses[0]?.cursor })).data?.changes?.nodes).toHaveLength(1);
});

it('delivers without any ping', async () => {
  await dropPings(app, true);
  const subscriber = await subscribe().started();
  await app.database.query(
    `UPDATE webhooks SET last_drained_at = clock_timestamp() - interval '18 s' WHERE state = 'active'`,
  );
  const [recordId] = await addContacts(app, 1);
  await until(() => subscriber.changes.length === 1);
  expect(subscriber.changes[0]?.recordId).toBe(recordId);
  await subscriber.cut();
});

it('gives all of a long log to those who come back at once when nobody has listened, wherever each stands', async () => {
  await until(() => app.app.changeFeeds.followed.length === 0);
  const [count, every, start] = [1_500, 10, 1_000_000];
  // Those that are listened to are deletions.
  const [feed] = await app.database.query(
    `WITH appended AS (
       INSERT INTO changes (feed_id, generation, payload, ordinal, kind, table_id, record_id, occurred_at, source)
       SELECT id, generation, $4 + number, 0, CASE WHEN number % $1 = 0 THEN 'deleted' ELSE 'created' END, $2, 'rec' || number, now(), 'client'
       FROM change_feeds, generate_series(1, $3) AS number)
     SELECT client_id, base_id, generation FROM change_feeds`,
    [every, crm.tableId, count, start],
  );
  const key = feedKey(String(feed?.client_id), String(feed?.base_id));
  const places = [0, 500, 100, 600, 1_100, 250, 1_400];
  const back = places.map((place) => {
    const position = { generation: Number(feed?.generation), payload: start + place, ordinal: 0 };
    return subscribe({ kinds: ['DELETED'], after: encodeCursor(key, position) });
  });
  await until(() => back.every(({ changes }) => changes.at(-1)?.recordId === `rec${count}`));
  for (const [index, { changes, losses }] of back.entries()) {
    const expected = Array.from({ length: count / every }, (_, number) => (number + 1) * every);
    const behind = expected.filter((number) => number > places[index]!);
    expect(changes.map(({ recordId }) => recordId)).toEqual(behind.map((number) => `rec${number}`));
    expect(losses).toEqual([]);
  }
  await Promise.all(back.map((subscriber) => subscriber.cut()));
});

it('ends a read of the log when its changes are long, and says that there is more', async () => {
  const [length, bound] = [1_000_000, 4_000_000];
  const [first] = await app.database.query(
    `UPDATE changes SET cells = json_build_object('fld1', repeat('x', $1)) WHERE payload > 1000000 AND payload % 100 = 0
     RETURNING feed_id, generation`,
    [length],
  );
  const feedId = Number(first?.feed_id);
  const lengths: number[] = [];
  let read = 0;
  let position = { generation: Number(first?.generation), payload: 1_000_000, ordinal: 0 };
  for (let hasMore = true; hasMore;) {
    const page = await app.app.changeLog.read(feedId, position);
    lengths.push(page.entries.reduce((sum, { bytes }) => sum + bytes, 0));
    read += page.entries.length;
    position = page.entries.at(-1)?.position ?? position;
    ({ hasMore } = page);
  }
  expect(read).toBe(1_500);
  expect(lengths.slice(0, -1).every((sum) => sum >= bound && sum < bound + length + 5_000)).toBe(true);
  expect(lengths.length).toBe(4);
});
