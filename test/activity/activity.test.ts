import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { control, startTestApp, type TestApp } from '../support/app.ts';
import { until } from '../support/ping-receiver.ts';
import { createWebhook } from '../webhooks/operations.ts';
import { activityOf, hour, MovableClock, readOnce, spoil } from './activity-of.ts';

const clock = new MovableClock();
let app: TestApp;
let connection: number;

beforeAll(async () => {
  app = await startTestApp({ clock });
  connection = await app.connect();
});
afterAll(() => app.close());

test('what a connection does is counted by hour, with every hour present and the newest last', async () => {
  await app.app.activity.flush();
  const before = await activityOf(app, connection, 'PT3H');
  // Longer than an access token lives, so the next call renews it.
  clock.advance(hour);

  await spoil(app, 429, 1);
  await readOnce(app, connection);
  await spoil(app, 403, 1);
  await readOnce(app, connection);
  const id = await createWebhook(app, connection);
  await fetch(`${app.url}/webhooks/calendly/${id}`, { method: 'POST', body: 'forged' });
  await app.app.activity.flush();

  const after = await activityOf(app, connection, 'PT3H');
  expect(after).toMatchObject({
    rateLimited: 1,
    refused: 1,
    errors: 2,
    refreshes: 1,
    refreshesFailed: 0,
    refreshRacesLost: 0,
    macFailures: 1,
    alerts: [],
  });
  expect(after.hours).toHaveLength(3);
  expect(after.hours[0]).toMatchObject({ calls: 0, errors: 0 });
  expect(after.hours[1]).toEqual(before.hours[2]);
  expect(after.hours[2]).toMatchObject({
    rateLimited: 1,
    refused: 1,
    errors: 2,
    refreshes: 1,
    macFailures: 1,
  });
  expect(after.calls).toBe(after.hours[1].calls + after.hours[2].calls);
  expect(Date.parse(after.until) - Date.parse(after.since)).toBe(3 * hour);
  expect(after.hours.map(({ start }: { start: string }) => Date.parse(start))).toEqual(
    [0, 1, 2].map((index) => Date.parse(after.since) + index * hour),
  );
});

test('calls are counted as the upstream counts them', async () => {
  const other = await app.connect();
  const sent = async () => {
    const { total, byEndpoint } = await control(app.sandbox.url, 'calls');
    const { token = 0, authorize = 0, decideAuthorization = 0 } = byEndpoint;
    return total - token - authorize - decideAuthorization;
  };
  // Both, since the webhook of the first is looked after meanwhile.
  const counted = async () => {
    await app.app.activity.flush();
    const each = await Promise.all([connection, other].map((id) => activityOf(app, id)));
    return each.reduce((sum, { calls }) => sum + calls, 0);
  };
  const known = await counted();
  for (let index = 0; index < 3; index += 1) await readOnce(app, other);
  expect(await counted()).toBeGreaterThanOrEqual(known + 3);
  // A call under way is known to the upstream alone.
  await until('both have counted the same', async () => (await sent()) === (await counted()));
});

test('counts wait while the database is away, and are stored once it is back', async () => {
  const waiting = await app.connect();
  await readOnce(app, waiting);
  await app.app.activity.flush();
  const known = (await activityOf(app, waiting)).calls;
  await readOnce(app, waiting);
  await app.database.query('ALTER TABLE connection_activity RENAME TO connection_activity_away');
  await app.app.activity.flush();
  expect(app.logs.text).toContain('activity of connections can not be stored for now');
  await app.database.query('ALTER TABLE connection_activity_away RENAME TO connection_activity');
  await readOnce(app, waiting);
  await app.app.activity.flush();
  expect((await activityOf(app, waiting)).calls - known).toBe(2);
  expect(app.logs.text).toContain('activity of connections is stored again');
});

test('an instance that closes stores what it has counted, and counts of several are one sum', async () => {
  const shared = await app.connect();
  await app.app.activity.flush();
  const known = (await activityOf(app, shared)).calls;
  const other = await app.another();
  await readOnce(app, shared);
  await readOnce(other, shared);
  await other.close();
  await app.app.activity.flush();
  // Each instance reads the structure of the base for itself.
  expect((await activityOf(app, shared)).calls - known).toBe(4);
});

test('counts of a connection that was deleted are dropped, and those of others are not', async () => {
  const [gone, kept] = [await app.connect(), await app.connect()];
  await readOnce(app, kept);
  await app.app.activity.flush();
  const known = (await activityOf(app, kept)).calls;
  await readOnce(app, gone);
  await readOnce(app, kept);
  await app.graphql(`mutation ($id: Int!) { deleteConnection(input: { connection: $id }) { __typename } }`, {
    id: gone,
  });
  await app.app.activity.flush();
  expect((await activityOf(app, kept)).calls).toBe(known + 1);
});

test.each([
  ['P91D', 'TOO_MANY', '90'],
  ['PT2161H', 'TOO_MANY', '2160'],
  ['P1M', 'INVALID_INPUT', 'months'],
  ['P1Y', 'INVALID_INPUT', 'years'],
  ['PT0S', 'INVALID_INPUT', 'longer'],
  ['-PT1H', 'INVALID_INPUT', 'sign'],
  ['yesterday', 'GRAPHQL_VALIDATION_FAILED', 'Duration'],
])('a look back of %s is refused with %s', async (last, code, word) => {
  const { errors } = await app.graphql(
    `query ($id: Int!, $last: Duration) { connection(id: $id) { ... on CalendlyConnection { activity(last: $last) { calls } } } }`,
    { id: connection, last },
  );
  expect(errors?.[0]?.extensions.code).toBe(code);
  expect(errors?.[0]?.message).toContain(word);
});

test('a look back that is refused leaves everything beside it as it is', async () => {
  const { data, errors } = await app.graphql(
    `{ connections { id ... on CalendlyConnection { activity(last: "P91D") { calls } } } caller { role } }`,
  );
  expect(data.caller).toEqual({ role: 'ADMIN' });
  expect(data.connections).toContainEqual({ id: connection, activity: null });
  expect(errors).toHaveLength(data.connections.length);
  expect(errors?.[0]).toMatchObject({
    path: ['connections', 0, 'activity'],
    extensions: { code: 'TOO_MANY' },
  });
});

test.each([
  ['P90D', 2_160],
  ['P1DT1H', 25],
  ['PT90M', 2],
  ['PT1S', 1],
  ['P1W', 168],
])('a look back of %s gives %i hours', async (last, count) => {
  expect((await activityOf(app, connection, last)).hours).toHaveLength(count);
});

test('one operation gives a bounded number of hours, however many places ask for them', async () => {
  const fields = Array.from({ length: 24 }, (_, index) => `a${index}: activity(last: "P90D") { calls }`).join(
    ' ',
  );
  const { errors } = await app.graphql(
    `query ($id: Int!) { connection(id: $id) { ... on CalendlyConnection { ${fields} } } }`,
    { id: connection },
  );
  expect(errors?.[0]?.extensions.code).toBe('TOO_MANY');
});

test('what is older than 90 days is deleted', async () => {
  await app.database.query(
    `INSERT INTO connection_activity (connection_id, hour, calls, errors, rate_limited, refused, refreshes, refreshes_failed, refresh_races_lost, mac_failures)
     SELECT $1, now() - make_interval(days => age), 1, 0, 0, 0, 0, 0, 0, 0 FROM unnest(ARRAY[80, 92]) AS age`,
    [connection],
  );
  const other = await app.another();
  await readOnce(other, connection);
  await other.app.activity.flush();
  await other.close();
  const rows = await app.database.query(
    `SELECT 1 FROM connection_activity WHERE connection_id = $1 AND hour < now() - interval '40 days'`,
    [connection],
  );
  expect(rows).toHaveLength(1);
});
