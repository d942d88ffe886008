import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { authorizationUrl, control, startTestApp, type TestApp } from '../support/app.ts';

/** Records are never answered from memory, unlike the name of a base. */
const readRecords = `query ($id: Int!) { base(connection: $id, baseId: "appABC123") { table(id: "tblDEF456") { records(first: 1) { nodes { id } } } } }`;

describe('refreshing tokens', () => {
  let app: TestApp;
  beforeAll(async () => {
    app = await startTestApp();
  });
  afterAll(() => app.close());

  const expire = (id: number) =>
    app.database.query(
      `UPDATE connections SET access_token_expires_at = now() - interval '1 minute' WHERE id = $1`,
      [id],
    );
  const fault = (kind: string, more: object = {}) =>
    control(app.sandbox.url, 'faults', {
      match: { method: 'POST', path: '/oauth2/v1/token' },
      kind,
      times: 1,
      ...more,
    });
  const stateOf = async (id: number) =>
    (await app.graphql('query ($id: Int!) { connection(id: $id) { state problem { code } } }', { id })).data
      .connection;

  test('a new flow that only begins leaves a refresh on its way alone', async () => {
    const id = await app.connect({ name: 'Beginning' });
    await expire(id);
    await fault('delay', { delayMs: 500 });
    const reading = app.graphql(readRecords, { id });
    await authorizationUrl(app.graphql, id);
    expect((await reading).errors).toBeUndefined();
    await expire(id);
    expect((await app.graphql(readRecords, { id })).errors).toBeUndefined();
    expect(await stateOf(id)).toEqual({ state: 'CONNECTED', problem: null });
  });

  test.each([
    ['an error of the provider', 'status', { status: 503 }],
    ['a broken connection', 'reset', {}],
    ['an answer that is no JSON', 'malformed', {}],
  ])('%s before the refresh had its effect is survived', async (what, kind, more) => {
    const id = await app.connect({ name: what });
    await expire(id);
    await fault(kind, { effect: 'before', ...more });
    expect((await app.graphql(readRecords, { id })).errors).toBeUndefined();
    expect(await stateOf(id)).toEqual({ state: 'CONNECTED', problem: null });
  });

  test('an answer that is lost after the pair was rotated is named REFRESH_LOST', async () => {
    const id = await app.connect({ name: 'Lost' });
    await expire(id);
    await fault('reset', { effect: 'after' });
    const { errors } = await app.graphql(readRecords, { id });
    expect(errors?.[0]?.extensions).toMatchObject({
      code: 'CONNECTION_NOT_CONNECTED',
      problem: 'REFRESH_LOST',
    });
    expect(await stateOf(id)).toEqual({ state: 'ERROR', problem: { code: 'REFRESH_LOST' } });
  });

  test('while the provider is down the connection stays connected, and the caller is told to try again', async () => {
    const id = await app.connect({ name: 'Down' });
    await expire(id);
    await fault('status', { status: 500, times: 10 });
    const { errors } = await app.graphql(readRecords, { id });
    expect(errors?.[0]?.extensions.code).toBe('UPSTREAM_UNAVAILABLE');
    expect((await stateOf(id)).state).toBe('CONNECTED');
    await fetch(`${app.sandbox.url}/_control/faults`, { method: 'DELETE' });
    expect((await app.graphql(readRecords, { id })).errors).toBeUndefined();
  });

  test('two instances that meet an expired token refresh it once', async () => {
    const id = await app.connect({ name: 'Shared' });
    const other = await app.another();
    try {
      await expire(id);
      const before = (await control(app.sandbox.url, 'calls')).byEndpoint.token;
      const answers = await Promise.all(
        [app, other].flatMap((instance) =>
          Array.from({ length: 10 }, () => instance.graphql(readRecords, { id })),
        ),
      );
      for (const { errors } of answers) expect(errors).toBeUndefined();
      expect((await control(app.sandbox.url, 'calls')).byEndpoint.token - before).toBe(1);
    } finally {
      await other.close();
    }
  });
});
