import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { control, startTestApp, type TestApp } from '../support/app.ts';
import { create, read, run } from './lifecycle.ts';

describe('testConnection', () => {
  let app: TestApp;
  beforeAll(async () => {
    app = await startTestApp();
  });
  afterAll(() => app.close());

  test('tells the account and the latency, with one upstream call', async () => {
    const id = await app.connect({ name: 'Tested' });
    const calls = async () => (await control(app.sandbox.url, 'calls')).total as number;
    const before = await calls();
    const result = await run(app, 'testConnection', id);
    expect(await calls()).toBe(before + 1);
    expect(result).toMatchObject({
      works: true,
      problem: null,
      account: { id: expect.stringMatching(/^usr/), email: null },
      connection: { state: 'CONNECTED' },
    });
    expect(result.latencyMs).toBeGreaterThanOrEqual(0);
  });

  test('stores the scopes that the upstream grants by now', async () => {
    const id = await app.connect({ name: 'Scoped' });
    await app.database.query(
      `UPDATE connections SET granted_scopes = '{data.records:read}', account_id = NULL WHERE id = $1`,
      [id],
    );
    expect((await read(app, id)).missingScopes).not.toEqual([]);
    const { connection } = await run(app, 'testConnection', id);
    expect(connection).toMatchObject({ missingScopes: [], account: { id: expect.any(String) } });
    const { updatedAt } = await read(app, id);
    await run(app, 'testConnection', id);
    expect((await read(app, id)).updatedAt).toBe(updatedAt);
  });

  test('tells why a grant does not work any more, and what became of the connection', async () => {
    const id = await app.connect({ name: 'Revoked' });
    await control(app.sandbox.url, 'revoke', { clientId: 'calendly_client_xyz789' });
    expect(await run(app, 'testConnection', id)).toMatchObject({
      works: false,
      account: null,
      problem: { code: 'INVALID_GRANT', message: expect.stringContaining('Connect again') },
      connection: { state: 'ERROR', problem: { code: 'INVALID_GRANT' } },
    });
    expect(await run(app, 'testConnection', id)).toMatchObject({
      __typename: 'ConnectionNotConnectedError',
      message: expect.stringContaining('INVALID_GRANT'),
    });
  });

  test('needs a grant, and a connection', async () => {
    const id = await create(app, 'Never granted');
    expect(await run(app, 'testConnection', id)).toMatchObject({ code: 'CONNECTION_NOT_CONNECTED' });
    expect(await run(app, 'testConnection', 2_147_483_647)).toMatchObject({ code: 'CONNECTION_NOT_FOUND' });
    expect((await run(app, 'testConnection', 0)).faults).toEqual([
      { path: ['connection'], message: 'ID must be a positive integer' },
    ]);
  });
});

describe('rotateTokens', () => {
  let app: TestApp;
  beforeAll(async () => {
    app = await startTestApp();
  });
  afterAll(() => app.close());

  const generation = async (id: number) =>
    (await app.database.query('SELECT token_generation AS n FROM connections WHERE id = $1', [id]))[0]?.n;
  const refreshes = async () => ((await control(app.sandbox.url, 'calls')).byEndpoint.token ?? 0) as number;

  test('exchanges the pair once, and the old one is void', async () => {
    const id = await app.connect({ name: 'Rotated' });
    const [before, sent] = [await generation(id), await refreshes()];
    const { connection } = await run(app, 'rotateTokens', id);
    expect(connection).toMatchObject({ state: 'CONNECTED', lastRefreshedAt: expect.any(String) });
    expect(await generation(id)).toBe(Number(before) + 1);
    expect(await refreshes()).toBe(sent + 1);
    expect((await run(app, 'testConnection', id)).works).toBe(true);
  });

  test('ten who ask at the same time on two instances share few refreshes, one per generation', async () => {
    const id = await app.connect({ name: 'Shared' });
    const other = await app.another();
    try {
      const [before, sent] = [await generation(id), await refreshes()];
      const answers = await Promise.all(
        Array.from({ length: 10 }, (_, index) => run(index % 2 ? app : other, 'rotateTokens', id)),
      );
      for (const { __typename } of answers) expect(__typename).toBe('RotateTokensSuccess');
      expect((await refreshes()) - sent).toBe(Number(await generation(id)) - Number(before));
      expect((await run(app, 'testConnection', id)).works).toBe(true);
    } finally {
      await other.close();
    }
  });

  test('needs a grant', async () => {
    const id = await create(app, 'Nothing to rotate');
    expect(await run(app, 'rotateTokens', id)).toMatchObject({ code: 'CONNECTION_NOT_CONNECTED' });
  });
});
