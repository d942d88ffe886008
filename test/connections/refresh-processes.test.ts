import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { startWithinMs } from '../../src/connections/refresh-claims.ts';
import { authorizationUrl, control, walkFlow, type UntypedData } from '../support/app.ts';
import { isLongRun, repeats, timeLimitMs } from '../support/repeats.ts';
import { startCluster, type ClusterServer, type ServerCluster } from '../support/server-cluster.ts';

/* Records are not kept, so each of these needs a token. */
const readRecords = `query ($id: Int!, $first: Int!) {
  base(connection: $id, baseId: "appABC123") { table(id: "tblDEF456") { records(first: $first) { nodes { id } } } }
}`;
const hourMs = 3_600_000;

/* Processes of their own, killed and stopped like those of an operator. Chance gets more tries with npm run test:long. */
describe('one refresh among processes', () => {
  let cluster: ServerCluster;
  let first: ClusterServer;
  let second: ClusterServer;
  beforeAll(async () => {
    // No renewals ahead of time: the requests of the tests are to meet the expired token.
    cluster = await startCluster({ size: repeats({ suite: 3, long: 5 }), variables: { ROLE: 'web' } });
    [first, second] = cluster.servers as [ClusterServer, ClusterServer];
  }, timeLimitMs);
  beforeEach(async () => {
    await fetch(`${cluster.sandbox.url}/_control/faults`, { method: 'DELETE' });
  });
  afterAll(() => cluster.close());

  const row = async (id: number): Promise<UntypedData> =>
    (await cluster.database.query('SELECT xmin, * FROM connections WHERE id = $1', [id]))[0];
  const secrets = async (id: number): Promise<UntypedData> =>
    (
      await cluster.database.query('SELECT xmin, * FROM connection_secrets WHERE connection_id = $1', [id])
    )[0];
  const tokenCalls = async (): Promise<number> =>
    (await control(cluster.sandbox.url, 'calls')).byEndpoint.token ?? 0;
  const until = async (holds: () => Promise<boolean>): Promise<void> => {
    while (!(await holds())) await delay(10);
  };
  /** @param first How many records. @returns how many came, or what was said instead. */
  const read = async (server: ClusterServer, id: number, first = 1): Promise<UntypedData> => {
    const { data, errors } = await server.graphql(readRecords, { id, first });
    return errors?.[0]?.extensions ?? { records: data.base.table.records.nodes.length };
  };
  /** The upstream's hour passes, and every instance knows. */
  const expire = async (id: number): Promise<void> => {
    await control(cluster.sandbox.url, 'clock', { advanceMs: hourMs });
    await cluster.database.query(
      `UPDATE connections SET access_token_expires_at = now() - interval '1 second' WHERE id = $1`,
      [id],
    );
  };
  /** Leases are by PostgreSQL's clock, which no test can move. */
  const passLease = (id: number) =>
    cluster.database.query(
      `UPDATE connections SET refresh_lease_until = now() - interval '1 second' WHERE id = $1 AND refresh_lease_until IS NOT NULL`,
      [id],
    );
  const grantAgain = async (id: number): Promise<void> => {
    const page = await walkFlow(await authorizationUrl(second.graphql, id));
    expect(page.status).toBe(200);
  };
  const fault = (more: object) =>
    control(cluster.sandbox.url, 'faults', {
      match: { method: 'POST', path: '/oauth2/v1/token' },
      times: 1,
      ...more,
    });

  test(
    'however many requests meet an expired token, on however many processes, the upstream sees one refresh',
    async () => {
      const id = await first.connect();
      const rounds = repeats({ suite: 3, long: 200 });
      const startedAt = performance.now();
      for (let round = 1; round <= rounds; round += 1) {
        const before = await tokenCalls();
        await expire(id);
        const answers = await Promise.all(
          Array.from({ length: 50 }, (_, index) => read(cluster.servers[index % 3] ?? first, id, index + 1)),
        );
        expect(answers).toEqual(answers.map((_, index) => ({ records: index + 1 })));
        expect({ round, refreshes: (await tokenCalls()) - before }).toEqual({ round, refreshes: 1 });
      }
      report('expired tokens', { rounds, requests: rounds * 50, refreshes: rounds }, startedAt);
    },
    timeLimitMs,
  );

  test(
    'killed at any point of a refresh, the connection works or says REFRESH_LOST, for one further call at most',
    async () => {
      const kills = repeats({ suite: 2, long: 100 });
      const startedAt = performance.now();
      const outcomes: Record<string, number> = {};
      const id = await second.connect();
      // One starts again while the next ones are killed; one lives through it all.
      const victims = cluster.servers
        .filter((server) => server !== second)
        .map((server) => ({ server, running: Promise.resolve() }));
      for (let round = 1; round <= kills; round += 1) {
        const victim = victims[round % victims.length] ?? { server: first, running: Promise.resolve() };
        await victim.running;
        expect(await read(victim.server, id)).toEqual({ records: 1 });
        // Half of the answers are on their way for a while: in there lies the time that matters most.
        const answerMs = round % 2 === 0 ? 0 : 60;
        if (answerMs > 0) await fault({ kind: 'delay', effect: 'after', delayMs: answerMs });
        await expire(id);
        const before = await tokenCalls();
        const cutOff = read(victim.server, id).catch(() => null);
        // Two of three from within the refresh: since its claim, and since its call, which are short on their own.
        const isClaimed = async () => {
          const { refresh_holder: holder, access_token_expires_at: expiresAt } = await row(id);
          return holder !== null || expiresAt > new Date();
        };
        if (round % 3 === 1) await until(isClaimed);
        if (round % 3 === 2) await until(async () => (await tokenCalls()) > before);
        await delay(Math.random() * 90);
        await victim.server.kill();
        await cutOff;
        // A call that had left has come to its end before a lease has.
        await delay(answerMs);
        const sent = (await tokenCalls()) - before;
        const wasClaimed = (await row(id)).refresh_holder !== null;
        await passLease(id);
        victim.running = victim.server.start();

        const answer = await read(second, id);
        const further = (await tokenCalls()) - before - sent;
        const { state, problem_code: problem } = await row(id);
        expect({ round, sent, further }).toEqual({
          round,
          sent: Math.min(sent, 1),
          further: Math.min(further, 1),
        });
        if (state === 'connected') expect({ round, answer }).toEqual({ round, answer: { records: 1 } });
        else {
          expect({ round, state, problem }).toEqual({ round, state: 'error', problem: 'REFRESH_LOST' });
          expect(answer).toMatchObject({ code: 'CONNECTION_NOT_CONNECTED', problem: 'REFRESH_LOST' });
        }
        const point = sent === 0 ? (wasClaimed ? 'claimed' : 'before') : wasClaimed ? 'sent' : 'stored';
        const outcome = `killed when ${point}: ${problem ?? 'works'}`;
        outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
        await fetch(`${cluster.sandbox.url}/_control/faults`, { method: 'DELETE' });
        if (state === 'error') await grantAgain(id);
        if (round % 10 === 0) report('kills', { kills: round, ...outcomes }, startedAt);
      }
      await Promise.all(victims.map(({ running }) => running));
    },
    timeLimitMs,
  );

  test(
    'stopped during its call until another has taken over, a woken process writes nothing and gives its pair up',
    async () => {
      const times = repeats({ suite: 1, long: 20 });
      const startedAt = performance.now();
      for (let round = 1; round <= times; round += 1) {
        const id = await second.connect();
        await expire(id);
        const before = await tokenCalls();
        await fault({ kind: 'delay', effect: 'after', delayMs: 150 });
        const asleep = read(first, id);
        await until(async () => (await tokenCalls()) > before);
        first.pause();
        await passLease(id);
        // The pair of the sleeping process has replaced the one that the second one sends.
        expect(await read(second, id)).toMatchObject({ problem: 'REFRESH_LOST' });
        await grantAgain(id);
        const [rowBefore, secretsBefore] = [await row(id), await secrets(id)];
        const revokedBefore = (await control(cluster.sandbox.url, 'calls')).byEndpoint.revoke ?? 0;

        first.resume();
        // It goes on with what the other has stored.
        expect(await asleep).toEqual({ records: 1 });
        expect(await row(id)).toEqual(rowBefore);
        expect(await secrets(id)).toEqual(secretsBefore);
        expect((await control(cluster.sandbox.url, 'calls')).byEndpoint.revoke).toBeGreaterThan(
          revokedBefore,
        );
        for (const server of [first, second]) expect(await read(server, id)).toEqual({ records: 1 });
      }
      report('stopped during the call', { times }, startedAt);
    },
    timeLimitMs,
  );

  test(
    'stopped just before its call until another has taken over, a woken process does not make it any more',
    async () => {
      const id = await second.connect();
      // Holds up, on the way to PostgreSQL, whoever makes the lease of its claim whole before a call.
      await cluster.database.query(`
        CREATE FUNCTION hold_up() RETURNS trigger LANGUAGE plpgsql AS $$
          BEGIN PERFORM pg_advisory_xact_lock_shared(1); RETURN NEW; END $$;
        CREATE TRIGGER hold_up BEFORE UPDATE ON connections FOR EACH ROW
          WHEN (OLD.refresh_holder = NEW.refresh_holder) EXECUTE FUNCTION hold_up()`);
      const gate = new pg.Client({ connectionString: cluster.database.url });
      await gate.connect();
      await gate.query('SELECT pg_advisory_lock(1)');
      await expire(id);
      const before = await tokenCalls();
      const asleep = read(first, id);
      await until(
        async () =>
          (await cluster.database.query(`SELECT 1 FROM pg_stat_activity WHERE wait_event = 'advisory'`))
            .length > 0,
      );
      first.pause();
      await gate.end();
      await until(
        async () =>
          (await cluster.database.query(`SELECT 1 FROM pg_stat_activity WHERE wait_event = 'advisory'`))
            .length === 0,
      );
      await passLease(id);
      expect(await read(second, id)).toEqual({ records: 1 });
      const [rowBefore, secretsBefore] = [await row(id), await secrets(id)];
      // By now the token that the sleeping process has in hand would end the grant.
      await control(cluster.sandbox.url, 'clock', { advanceMs: 11_000 });
      await delay(startWithinMs + 100);

      first.resume();
      expect(await asleep).toEqual({ records: 1 });
      expect(await tokenCalls()).toBe(before + 1);
      expect(await row(id)).toEqual(rowBefore);
      expect(await secrets(id)).toEqual(secretsBefore);
      for (const server of [first, second]) expect(await read(server, id)).toEqual({ records: 1 });
      await cluster.database.query('DROP TRIGGER hold_up ON connections; DROP FUNCTION hold_up');
    },
    timeLimitMs,
  );
});

/** Figures of a long run, for docs/reliability.md. */
function report(what: string, figures: Record<string, number>, startedAt: number): void {
  if (!isLongRun) return;
  const seconds = Math.round((performance.now() - startedAt) / 1_000);
  process.stderr.write(`${what}: ${JSON.stringify({ ...figures, seconds })}\n`);
}
