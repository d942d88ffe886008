import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { minute, MovableClock } from '../../activity/activity-of.ts';
import { addContacts, edit } from '../../changes/upstream-edits.ts';
import { startTestApp, type TestApp } from '../../support/app.ts';
import { until } from '../../support/ping-receiver.ts';
import { AnswerLoss } from './answer-loss.ts';
import { EndpointServer, status } from './endpoint-server.ts';
import { createTrigger, lookNow, triggerOf } from './operations.ts';

/* The database fails at a bad moment: what it had done by then, or was about to do, is not known to the process that asked. */

const endpoint = new EndpointServer();
const clock = new MovableClock();
/** Keeps the database and the upstream; `app` does the work. */
let home: TestApp;
let app: TestApp;
let loss: AnswerLoss;
let connection: number;

beforeAll(async () => {
  [home] = await Promise.all([startTestApp({ clock, config: { role: 'web' } }), endpoint.start()]);
  loss = await AnswerLoss.before(home.database.url);
  app = await home.another({ role: 'all', databaseUrl: loss.url });
  connection = await app.connect();
});
afterAll(async () => {
  await app.close();
  await Promise.all([home.close(), loss.close(), endpoint.close()]);
});
beforeEach(() => endpoint.reset());
afterEach(async () => {
  await app.database.query('DROP FUNCTION IF EXISTS fail_once() CASCADE');
  await app.database.query('DELETE FROM triggers');
});

/** The first update of a delivery that is like this ends the connection to the database that it came by. */
async function failOnce(condition: string): Promise<void> {
  await app.database.query(`
    DROP SEQUENCE IF EXISTS failures;
    CREATE SEQUENCE failures;
    CREATE FUNCTION fail_once() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      IF nextval('failures') = 1 THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF;
      RETURN NEW;
    END $$;
    CREATE TRIGGER fail_once BEFORE UPDATE ON trigger_deliveries FOR EACH ROW WHEN (${condition}) EXECUTE FUNCTION fail_once()`);
}

const failures = async (): Promise<number> =>
  Number(
    (await app.database.query('SELECT last_value FROM failures WHERE is_called'))[0]?.['last_value'] ?? 0,
  );
const leaseOf = async (id: string): Promise<unknown> =>
  (
    await app.database.query(
      'SELECT lease_until::text AS lease FROM trigger_deliveries WHERE trigger_id = $1',
      [id],
    )
  )[0]?.['lease'];
const idsAt = (path: string): unknown[] =>
  endpoint.deliveries.filter(({ url }) => url === path).map(({ headers }) => headers['webhook-id']);

test('a delivery that nobody has in hand is made again, however busy the process is that took it', async () => {
  const create = async (path: string, kind: string): Promise<string> =>
    (await createTrigger(app, { connection, endpoint: endpoint.url.replace('/hook', path), kinds: [kind] }))
      .id;
  endpoint.answer = (response, { url }) => void (url === '/hangs' || response.writeHead(204).end());
  const [record, other] = (await addContacts(app, 2)) as [string, string];
  const busy = await create('/hangs', 'DELETED');
  await edit(app, { destroy: [other] });
  await until('one hangs', () => idsAt('/hangs').length === 1);

  // Taken, and the answer of the database was lost: nobody knows of it.
  const lost = await create('/lost', 'CREATED');
  endpoint.queued = [status(500)];
  await addContacts(app, 1);
  await until('it waits', async () => (await triggerOf(app, lost)).health.failuresInRow === 1);
  await app.database.query(
    `UPDATE trigger_deliveries AS one SET next_attempt_at = one.created_at, lease_until = busy.lease_until, lease_holder = busy.lease_holder
     FROM trigger_deliveries AS busy WHERE one.trigger_id = $1 AND busy.trigger_id = $2`,
    [lost, busy],
  );
  // Made, and what came of it could not be stored.
  const unstored = await create('/unstored', 'UPDATED');
  await failOnce(`NEW.status = 'DELIVERED'`);
  await edit(app, { update: [{ id: record, fields: { Phone: '1' } }] });
  await until('the database has failed', async () => (await failures()) === 1);

  const before = { busy: await leaseOf(busy), lost: await leaseOf(lost), unstored: await leaseOf(unstored) };
  expect(before).toEqual({
    busy: expect.any(String),
    lost: expect.any(String),
    unstored: expect.any(String),
  });
  await until('leases are renewed', async () => (await leaseOf(busy)) !== before.busy);
  expect(await leaseOf(lost)).toBe(before.lost);
  expect(await leaseOf(unstored)).toBe(before.unstored);
  // As if the seconds of a lease were over.
  await app.database.query(
    'UPDATE trigger_deliveries SET lease_until = clock_timestamp() WHERE trigger_id = ANY($1)',
    [[lost, unstored]],
  );
  await lookNow(app, lost);
  for (const [id, path] of [
    [lost, '/lost'],
    [unstored, '/unstored'],
  ] as const) {
    await until(`${path} is settled`, async () => (await triggerOf(app, id)).health.waiting === 0);
    const ids = idsAt(path);
    expect(ids).toHaveLength(2);
    expect(new Set(ids).size).toBe(1);
  }
});

test('an endpoint that is back gets at once what waits, also when the database fails right then', async () => {
  const { id } = await createTrigger(app, { connection, endpoint: endpoint.url });
  endpoint.answer = status(500);
  await addContacts(app, 3);
  await until('all have failed', async () => {
    const { nodes } = (await triggerOf(app, id)).deliveries;
    return nodes.length === 3 && nodes.every(({ attempts }: { attempts: number }) => attempts > 0);
  });
  await until('nothing is under way', async () => {
    const leased = 'SELECT 1 FROM trigger_deliveries WHERE lease_until IS NOT NULL';
    return (await app.database.query(leased)).length === 0;
  });
  endpoint.reset();
  await failOnce('OLD.lease_holder IS NULL AND NEW.lease_holder IS NULL');
  // All but one wait for long.
  await app.database.query(`ALTER TABLE trigger_deliveries DISABLE TRIGGER fail_once`);
  await app.database.query('UPDATE trigger_health SET failures_in_row = 5, rest_until = NULL');
  await app.database.query(
    `UPDATE trigger_deliveries SET next_attempt_at = clock_timestamp() + make_interval(
       hours => CASE WHEN id = (SELECT min(id) FROM trigger_deliveries) THEN -1 ELSE 2 END)`,
  );
  await app.database.query(`ALTER TABLE trigger_deliveries ENABLE TRIGGER fail_once`);
  await lookNow(app, id);
  await until('nothing waits', async () => (await triggerOf(app, id)).health.waiting === 0);
  expect(await failures()).toBeGreaterThanOrEqual(2);
  expect(endpoint.deliveries).toHaveLength(3);
});

describe('what came of deliveries is stored, and the answer to that is lost', () => {
  const storing = 'AS given(id, lease, status';
  const rested = async (id: string): Promise<boolean> =>
    (await app.database.query('SELECT rest_until FROM trigger_health WHERE trigger_id = $1', [id]))[0]?.[
      'rest_until'
    ] != null;

  test('its failures count, and what keeps failing rests', async () => {
    const { id } = await createTrigger(app, { connection, endpoint: endpoint.url });
    endpoint.answer = status(500);
    await addContacts(app, 1);
    for (let failures = 1; failures <= 5; failures += 1) {
      await until('it has failed', async () => (await triggerOf(app, id)).health.failuresInRow === failures);
      expect(await rested(id)).toBe(failures === 5);
      if (failures === 4) loss.loseNext(storing);
      clock.advance(minute);
      await lookNow(app, id);
    }
    expect(loss.lost).toBe(1);
  });

  test('an endpoint that is back gets at once what waits', async () => {
    const { id } = await createTrigger(app, { connection, endpoint: endpoint.url });
    endpoint.answer = status(500);
    await addContacts(app, 3);
    await until('all have failed', async () => (await triggerOf(app, id)).health.failuresInRow >= 3);
    endpoint.reset();
    await app.database.query('UPDATE trigger_health SET failures_in_row = 5, rest_until = NULL');
    await app.database.query(
      `UPDATE trigger_deliveries SET next_attempt_at = now() + make_interval(
         hours => CASE WHEN id = (SELECT min(id) FROM trigger_deliveries) THEN -1 ELSE 2 END)`,
    );
    loss.loseNext(storing);
    await until('nothing waits', async () => {
      await lookNow(app, id);
      return (await triggerOf(app, id)).health.waiting === 0;
    });
    expect(loss.lost).toBe(2);
    expect((await triggerOf(app, id)).health.failuresInRow).toBe(0);
    // What was stored is not told again.
    expect(endpoint.deliveries).toHaveLength(3);
  });
});
