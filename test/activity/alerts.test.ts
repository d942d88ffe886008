import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  authorizationUrl,
  control,
  startTestApp,
  walkFlow,
  type TestApp,
  type UntypedData,
} from '../support/app.ts';
import { TEST_CLIENT } from '../support/sandbox-grant.ts';
import { createWebhook } from '../webhooks/operations.ts';
import { activityOf, alertsOf, hour, minute, MovableClock, readOnce, spoil } from './activity-of.ts';

/* Each alert has a scenario that raises it, and ones close by that do not: one fewer, or the same over a longer time. */

const clock = new MovableClock();
let app: TestApp;
let connection: number;
let count = 0;

beforeAll(async () => {
  app = await startTestApp({ clock });
});
afterAll(() => app.close());
beforeEach(async () => {
  await fetch(`${app.sandbox.url}/_control/faults`, { method: 'DELETE' });
  // Tokens of our clock and of the sandbox's age alike.
  connection = await app.connect({ name: `Alerts ${(count += 1)}` });
  await app.app.activity.flush();
});

const advance = async (ms: number): Promise<void> => {
  clock.advance(ms);
  await control(app.sandbox.url, 'clock', { advanceMs: ms });
};

describe('REFUSED_BURST', () => {
  const refuse = async (times: number, through: TestApp = app): Promise<void> => {
    await spoil(app, 403, times);
    for (let index = 0; index < times; index += 1) await readOnce(through, connection);
  };

  test('is raised by 20 refused calls within 10 minutes, wherever an hour ends between them', async () => {
    await advance(hour - (clock.now() % hour) - 2 * minute);
    await refuse(19);
    await advance(5 * minute);
    expect(await alertsOf(app, connection)).toEqual([]);
    await refuse(1);
    expect(await alertsOf(app, connection)).toEqual(['REFUSED_BURST']);
  });

  test('is not raised by 19, nor by 20 over 11 minutes, nor by other errors', async () => {
    await refuse(19);
    await advance(11 * minute);
    await refuse(1);
    await spoil(app, 422, 20);
    for (let index = 0; index < 20; index += 1) await readOnce(app, connection);
    expect(await alertsOf(app, connection)).toEqual([]);
    expect(await activityOf(app, connection, 'PT2H')).toMatchObject({ refused: 20, errors: 40 });
  });

  test('counts what two instances saw as one burst, and raises it once', async () => {
    const other = await app.another();
    try {
      await refuse(10);
      await refuse(10, other);
      await Promise.all([app.app.activity.flush(), other.app.activity.flush()]);
      expect(await alertsOf(app, connection)).toEqual(['REFUSED_BURST']);
      const warned = [app, other].map(
        ({ logs }) => logs.text.split(`Connection ${connection}: many calls were refused`).length - 1,
      );
      expect(warned[0]! + warned[1]!).toBe(1);
    } finally {
      await other.close();
    }
  });

  test('is raised while another instance that starts is ending grants for its connections file', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'alerts-'));
    const path = join(folder, 'connections.json');
    const managed = async (clientSecret: string) => {
      await writeFile(
        path,
        JSON.stringify({ type: 'calendly', id: 1_000, name: 'Managed', ...TEST_CLIENT, clientSecret }),
      );
      return app.another({ connectionsFile: { path, variable: () => undefined } });
    };
    const others = [await managed(TEST_CLIENT.clientSecret)];
    try {
      await walkFlow(await authorizationUrl(app.graphql, 1_000));
      await control(app.sandbox.url, 'faults', {
        match: { method: 'POST', path: '/oauth2/v1/revoke' },
        kind: 'delay',
        delayMs: 60_000,
      });
      const starting = managed('another');
      let started = false;
      void starting.then(() => (started = true));
      const revoking = async () =>
        ((await control(app.sandbox.url, 'calls')).byEndpoint.revoke as number | undefined) ?? 0;
      while ((await revoking()) === 0) await new Promise(setImmediate);
      await refuse(20);
      expect(await alertsOf(app, connection)).toEqual(['REFUSED_BURST']);
      expect(started).toBe(false);
      app.sandbox.context.faults.clear();
      others.push(await starting);
    } finally {
      for (const other of others) await other.close();
      await rm(folder, { recursive: true });
    }
  });

  test('is told once while it goes on, and again an hour later', async () => {
    await refuse(20);
    expect(await alertsOf(app, connection)).toEqual(['REFUSED_BURST']);
    await advance(30 * minute);
    await refuse(20);
    expect(await alertsOf(app, connection)).toEqual(['REFUSED_BURST']);
    await advance(45 * minute);
    await refuse(20);
    expect(await alertsOf(app, connection)).toEqual(['REFUSED_BURST', 'REFUSED_BURST']);
  });

  test('stands beside the hours, counts as a metric, and is logged with what to do', async () => {
    const raised = async () =>
      Number(
        /alerts_total\{kind="REFUSED_BURST"\} (\d+)/.exec(
          await (await fetch(`${app.url}/metrics`)).text(),
        )?.[1],
      );
    const before = await raised();
    await refuse(20);
    await app.app.activity.flush();
    const { alerts } = await activityOf(app, connection);
    expect(alerts).toMatchObject([{ kind: 'REFUSED_BURST', count: 20, threshold: 20 }]);
    expect(alerts[0].message).toContain('Test the connection');
    expect((await raised()) - before).toBe(1);
    const line = app.logs.text.split('\n').findLast((text) => text.includes('"alert":"REFUSED_BURST"'));
    expect(JSON.parse(line ?? '{}')).toMatchObject({
      level: 'warn',
      connectionId: connection,
      msg: alerts[0].message,
    });
  });
});

describe('MAC_FAILURES', () => {
  const forge = async (times: number): Promise<void> => {
    const id = await createWebhook(app, connection);
    for (let index = 0; index < times; index += 1) {
      const { status } = await fetch(`${app.url}/webhooks/calendly/${id}`, { method: 'POST', body: '{}' });
      expect(status).toBe(401);
    }
  };
  /** The connection through which the base's one webhook is read, whoever asked for it. */
  const reader = async (): Promise<number> => {
    await createWebhook(app, connection);
    const [row] = await app.database.query(`SELECT connection_id FROM webhooks WHERE state = 'active'`);
    return row?.connection_id as number;
  };

  test('is raised by 5 forged notifications within 10 minutes, and not by 4, nor by 5 over 11', async () => {
    const owner = await reader();
    await forge(4);
    expect(await alertsOf(app, owner)).toEqual([]);
    await advance(11 * minute);
    await forge(1);
    expect(await alertsOf(app, owner)).toEqual([]);
    await forge(4);
    expect(await alertsOf(app, owner)).toEqual(['MAC_FAILURES']);
  });

  test('is not raised by notifications for webhooks that nobody has', async () => {
    const unknown = '00000000-0000-4000-8000-000000000000';
    for (let index = 0; index < 10; index += 1)
      await fetch(`${app.url}/webhooks/calendly/${unknown}`, { method: 'POST', body: '{}' });
    expect(await alertsOf(app, connection)).toEqual([]);
  });
});

describe('REFRESH_RACES_LOST', () => {
  /** One instance stands still in the middle of a renewal until another has taken it over and renewed the pair. */
  const loseRace = async (other: TestApp): Promise<void> => {
    await app.database.query(`UPDATE connections SET access_token_expires_at = 'epoch' WHERE id = $1`, [
      connection,
    ]);
    await control(app.sandbox.url, 'faults', {
      match: { method: 'POST', path: '/oauth2/v1/token' },
      kind: 'delay',
      delayMs: 500,
      times: 1,
    });
    const calls = async () => (await control(app.sandbox.url, 'calls')).byEndpoint.token;
    const before = await calls();
    const slow = readOnce(app, connection);
    while ((await calls()) === before) await new Promise((resolve) => setTimeout(resolve, 5));
    await app.database.query(
      `UPDATE connections SET refresh_lease_until = now() - interval '1 s', refresh_sent_generation = NULL WHERE id = $1`,
      [connection],
    );
    await readOnce(other, connection);
    await slow;
  };

  test('is raised by 3 within an hour, and not by 2, nor by 3 over a longer time', async () => {
    const other = await app.another();
    try {
      await loseRace(other);
      await loseRace(other);
      expect(await alertsOf(app, connection)).toEqual([]);
      await advance(61 * minute);
      await loseRace(other);
      expect(await alertsOf(app, connection)).toEqual([]);
      await loseRace(other);
      await loseRace(other);
      expect(await alertsOf(app, connection)).toEqual(['REFRESH_RACES_LOST']);
      expect((await activityOf(app, connection, 'PT2H')).refreshRacesLost).toBe(5);
      const { data } = await app.graphql('query ($id: Int!) { connection(id: $id) { state } }', {
        id: connection,
      });
      expect(data.connection.state).toBe('CONNECTED');
    } finally {
      await other.close();
    }
  });
});

describe('CALLS_ABOVE_USUAL', () => {
  /** As if it had made so many calls in one hour, so long ago. */
  const remember = (hoursAgo: number, calls: number) =>
    app.database.query(
      `INSERT INTO connection_activity (connection_id, hour, calls, errors, rate_limited, refused, refreshes, refreshes_failed, refresh_races_lost, mac_failures)
       VALUES ($1, to_timestamp($2), $3, 0, 0, 0, 0, 0, 0, 0)`,
      [connection, (Math.floor(clock.now() / hour) - hoursAgo) * 3_600, calls],
    );
  /** The present hour's calls as other instances have stored them, but for the next one. */
  const stored = (calls: number) =>
    app.database.query(
      `UPDATE connection_activity SET calls = $2 WHERE connection_id = $1 AND hour = to_timestamp($3)`,
      [connection, calls - 1, Math.floor(clock.now() / hour) * 3_600],
    );
  const reach = async (calls: number): Promise<string[]> => {
    await readOnce(app, connection);
    await app.app.activity.flush();
    await stored(calls);
    await spoil(app, 422, 1);
    await readOnce(app, connection);
    return alertsOf(app, connection);
  };

  test('is raised by three times the calls of the busiest hour of two weeks, and by no fewer', async () => {
    await remember(24 * 8, 300);
    await remember(30, 500);
    await advance(hour);
    expect(await reach(1_499)).toEqual([]);
    expect(await reach(1_500)).toEqual(['CALLS_ABOVE_USUAL']);
    expect(await reach(1_600)).toEqual(['CALLS_ABOVE_USUAL']);
  });

  test('is not raised below 1,000 calls, nor the next time that there are as many', async () => {
    await remember(24 * 8, 10);
    await advance(hour);
    expect(await reach(999)).toEqual([]);
    expect(await reach(1_000)).toEqual(['CALLS_ABOVE_USUAL']);
    await advance(hour);
    expect(await reach(1_100)).toEqual(['CALLS_ABOVE_USUAL']);
  });

  test('is not raised for a connection that is known for less than a week', async () => {
    await remember(24 * 6, 10);
    await advance(hour);
    expect(await reach(5_000)).toEqual([]);
  });

  test('does not hold a busy hour against itself that is a fortnight old', async () => {
    await remember(24 * 15, 5_000);
    await remember(24 * 2, 100);
    await advance(hour);
    expect(await reach(1_000)).toEqual(['CALLS_ABOVE_USUAL']);
  });
});

describe('the list of alerts', () => {
  test('is paged newest first, and shows no more than a key may see', async () => {
    await spoil(app, 403, 20);
    for (let index = 0; index < 20; index += 1) await readOnce(app, connection);
    await app.app.activity.flush();
    const document = `query ($after: String, $connection: Int) { alerts(first: 2, after: $after, connection: $connection) {
      edges { cursor node { id connection { id } } } pageInfo { hasNextPage endCursor } } }`;
    const ids: string[] = [];
    for (let after: string | null = null, more = true; more;) {
      const { alerts }: UntypedData = (await app.graphql(document, { after })).data;
      ids.push(...alerts.edges.map((edge: { node: { id: string } }) => edge.node.id));
      after = alerts.pageInfo.endCursor;
      more = alerts.pageInfo.hasNextPage;
    }
    expect(ids.length).toBeGreaterThan(2);
    expect(ids).toEqual([...new Set(ids)].sort((a, b) => Number(b) - Number(a)));

    const key = await app.app.keys.create('Narrow', 'viewer', { connectionIds: [connection] });
    const seen = await app.graphql(document, {}, { key });
    expect(seen.data.alerts.edges.map((edge: UntypedData) => edge.node.connection.id)).toEqual([connection]);
    const hidden = await app.graphql(document, { connection: connection - 1 }, { key });
    expect(hidden.errors?.[0]?.extensions.code).toBe('CONNECTION_NOT_FOUND');
    const wrong = await app.graphql(document, { after: 'nonsense' });
    expect(wrong.errors?.[0]?.extensions.code).toBe('CURSOR_INVALID');
  });
});
