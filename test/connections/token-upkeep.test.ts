import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { setTimeout as delay } from 'node:timers/promises';
import { control, startTestApp, type TestApp, type UntypedData } from '../support/app.ts';

const minuteMs = 60_000;
const dayMs = 24 * 60 * minuteMs;

/* Two instances look after the same connections, by a clock that the tests move. The sandbox keeps the time of now. */
describe('tokens are renewed ahead of time', () => {
  let aheadMs = 0;
  let app: TestApp;
  let other: TestApp;
  beforeAll(async () => {
    app = await startTestApp({ clock: { now: () => Date.now() + aheadMs }, lookEveryMs: 300 });
    other = await app.another();
  });
  afterEach(async () => {
    await fetch(`${app.sandbox.url}/_control/faults`, { method: 'DELETE' });
    await app.database.query('DELETE FROM connections');
  });
  afterAll(async () => {
    await other.close();
    await app.close();
  });

  /** Records are not kept, so that this needs a token each time. */
  const read = (id: number, instance = app) =>
    instance.graphql(
      'query ($id: Int!) { base(connection: $id, baseId: "appABC123") { table(id: "tblDEF456") { records(first: 1) { nodes { id } } } } }',
      { id },
    );
  const tokenCalls = async (): Promise<number> =>
    (await control(app.sandbox.url, 'calls')).byEndpoint.token ?? 0;
  const row = async (id: number): Promise<UntypedData> =>
    (await app.database.query('SELECT * FROM connections WHERE id = $1', [id]))[0];
  const until = async (holds: () => Promise<boolean>): Promise<void> => {
    while (!(await holds())) await delay(50);
  };
  const renewed = (id: number, generation = 2) =>
    until(async () => (await row(id)).token_generation >= generation);
  const fault = (times: number | null, more: object) =>
    control(app.sandbox.url, 'faults', {
      match: { method: 'POST', path: '/oauth2/v1/token' },
      times,
      ...more,
    });

  test('a connection in use gets its new token before anybody asks, once for all instances', async () => {
    const id = await app.connect();
    expect((await read(id)).errors).toBeUndefined();
    // Slow enough for both instances to look meanwhile.
    await fault(1, { kind: 'delay', effect: 'after', delayMs: 3_200 });
    const before = await tokenCalls();
    aheadMs += 56 * minuteMs;
    await renewed(id);
    expect(await tokenCalls()).toBe(before + 1);
    for (const instance of [app, other]) expect((await read(id, instance)).errors).toBeUndefined();
    expect(await tokenCalls()).toBe(before + 1);
    expect((await row(id)).token_generation).toBe(2);
  });

  test('a connection that nobody uses is left alone until somebody does', async () => {
    const unused = await app.connect();
    aheadMs += 20 * minuteMs;
    const used = await app.connect();
    const before = await tokenCalls();
    aheadMs += 56 * minuteMs;
    await renewed(used);
    expect((await row(unused)).token_generation).toBe(1);
    expect((await read(unused)).errors).toBeUndefined();
    expect(await tokenCalls()).toBe(before + 2);
  });

  test('an idle grant is renewed when less than a third of its life is left, and not before', async () => {
    const older = await app.connect();
    aheadMs += 5 * dayMs;
    const younger = await app.connect();
    aheadMs += 36 * dayMs;
    await renewed(older);
    const { refresh_token_expires_at: until } = await row(older);
    expect(Math.round((until.getTime() - Date.now() - aheadMs) / dayMs)).toBe(60);
    expect((await row(younger)).token_generation).toBe(1);
  });

  test('after a failure every instance lets the connection rest, and nobody waits while its token lives', async () => {
    const id = await app.connect();
    await read(id);
    aheadMs += 40 * minuteMs;
    const second = await app.connect();
    await fault(2, { status: 503 });
    aheadMs += 16 * minuteMs;
    await until(async () => (await row(id)).refresh_failures === 1);
    const failed = await tokenCalls();
    expect(await row(id)).toMatchObject({ state: 'connected', token_generation: 1 });
    // Both instances look again, for the second connection, and would be answered by now.
    aheadMs += 3 * minuteMs + 30_000;
    expect((await read(id)).errors).toBeUndefined();
    expect(await tokenCalls()).toBe(failed);
    await app.database.query(`UPDATE connections SET access_token_expires_at = $2 WHERE id = $1`, [
      second,
      new Date(Date.now() + aheadMs),
    ]);
    await renewed(second);
    expect(await tokenCalls()).toBe(failed + 1);

    await app.database.query(`UPDATE connections SET refresh_not_before = now() WHERE id = $1`, [id]);
    await renewed(id);
    expect(await row(id)).toMatchObject({ refresh_failures: 0, refresh_not_before: null });
  });

  test('a token with a short life is not renewed by every call', async () => {
    await control(app.sandbox.url, 'limits', { accessTokenLifetimeMs: 50_000 });
    try {
      const id = await app.connect();
      const before = await tokenCalls();
      for (let call = 0; call < 3; call += 1) expect((await read(id)).errors).toBeUndefined();
      expect(await tokenCalls()).toBe(before);
    } finally {
      await control(app.sandbox.url, 'limits', { accessTokenLifetimeMs: 60 * minuteMs });
    }
  });

  test('lastUsedAt tells when a connection was used, at most every ten minutes', async () => {
    const shown = async (id: number): Promise<number> =>
      Date.parse(
        (
          await app.graphql(
            'query ($id: Int!) { connection(id: $id) { ... on CalendlyConnection { lastUsedAt } } }',
            { id },
          )
        ).data.connection.lastUsedAt,
      );
    const id = await app.connect();
    await until(async () => (await row(id)).last_used_at !== null);
    const first = await shown(id);
    aheadMs += 9 * minuteMs;
    await read(id);
    expect(await shown(id)).toBe(first);
    aheadMs += 2 * minuteMs;
    await read(id);
    await until(async () => (await shown(id)) > first);
    expect(Math.round((Date.now() + aheadMs - (await shown(id))) / minuteMs)).toBe(0);
  });
});
