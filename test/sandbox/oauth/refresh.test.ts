import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { createSandbox, type Sandbox } from '../../../sandbox/sandbox.ts';
import { call, control } from '../../support/sandbox-call.ts';
import { grantToken, postForm, TEST_CLIENT } from '../../support/sandbox-grant.ts';

const SECOND = { clientId: 'calendly_client_second', clientSecret: 'secret_calendly_second' };
const PUBLIC = { clientId: 'calendly_client_public', clientSecret: null };
const GRACE_MS = 10_000;
const DAY_MS = 86_400_000;

let sandbox: Sandbox;
beforeAll(async () => {
  sandbox = await createSandbox({ size: 'small' });
});
afterAll(() => sandbox.close());
beforeEach(() => sandbox.context.reset());

interface Refreshed {
  status: number;
  body: Record<string, unknown>;
}

async function refresh(
  refreshToken: unknown,
  extra: Record<string, string> = {},
  client: { clientId: string; clientSecret: string | null } = TEST_CLIENT,
): Promise<Refreshed> {
  const form = { grant_type: 'refresh_token', refresh_token: String(refreshToken), ...extra };
  const response = await postForm(sandbox.url, '/oauth2/v1/token', form, client);
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

async function isAlive(accessToken: unknown): Promise<boolean> {
  return (await call(sandbox.url, 'GET', '/v0/meta/whoami', { token: String(accessToken) })).status === 200;
}

const advance = (advanceMs: number) => control(sandbox.url, 'POST', 'clock', { advanceMs });
const INVALID_GRANT = { status: 400, body: { error: 'invalid_grant' } };

describe('a refresh', () => {
  test('gives a new pair and invalidates the previous access token at once', async () => {
    const first = await grantToken(sandbox.url);
    const { status, body } = await refresh(first.refreshToken);
    expect(status).toBe(200);
    expect(body).toMatchObject({ token_type: 'Bearer', expires_in: 3_600, refresh_expires_in: 5_184_000 });
    expect(body.refresh_token).not.toBe(first.refreshToken);
    expect(await isAlive(first.accessToken)).toBe(false);
    expect(await isAlive(body.access_token)).toBe(true);
  });

  test('keeps a grant alive for as long as it comes within 60 days each time', async () => {
    let { refreshToken } = await grantToken(sandbox.url);
    for (let round = 0; round < 4; round += 1) {
      await advance(59 * DAY_MS);
      const { status, body } = await refresh(refreshToken);
      expect(status).toBe(200);
      refreshToken = String(body.refresh_token);
    }
  });

  test('is refused 60 days after the token was issued', async () => {
    const { refreshToken } = await grantToken(sandbox.url);
    await advance(60 * DAY_MS);
    expect(await refresh(refreshToken)).toMatchObject(INVALID_GRANT);
  });

  test('may narrow the scope but not widen it', async () => {
    const first = await grantToken(sandbox.url, { scopes: ['data.records:read', 'schema.bases:read'] });
    const wider = await refresh(first.refreshToken, { scope: 'data.records:read webhook:manage' });
    expect(wider).toMatchObject({ status: 400, body: { error: 'invalid_scope' } });
    expect(await isAlive(first.accessToken)).toBe(true);
    const narrower = await refresh(first.refreshToken, { scope: 'data.records:read' });
    expect(narrower.body.scope).toBe('data.records:read');
    const bases = await call(sandbox.url, 'GET', '/v0/meta/bases', {
      token: String(narrower.body.access_token),
    });
    expect(bases.status).toBe(403);
  });

  test('works for a client without a secret by its client_id in the body', async () => {
    const { refreshToken } = await grantToken(sandbox.url, PUBLIC);
    expect((await refresh(refreshToken, {}, PUBLIC)).status).toBe(200);
  });

  test.each([
    ['an unknown token', () => Promise.resolve('nope')],
    ['an access token', async () => (await grantToken(sandbox.url)).accessToken],
    ['the token of another client', async () => (await grantToken(sandbox.url, SECOND)).refreshToken],
  ])('is refused for %s', async (_case, token) => {
    expect(await refresh(await token())).toMatchObject(INVALID_GRANT);
  });

  test('is refused after the grant was revoked', async () => {
    const { refreshToken } = await grantToken(sandbox.url);
    await control(sandbox.url, 'POST', 'revoke', { token: refreshToken });
    expect(await refresh(refreshToken)).toMatchObject(INVALID_GRANT);
  });
});

describe('a refresh token that was used already', () => {
  test('answers 409 within the grace period, and the new pair lives on', async () => {
    const first = await grantToken(sandbox.url);
    const second = await refresh(first.refreshToken);
    await advance(GRACE_MS - 2_000);
    expect((await refresh(first.refreshToken)).status).toBe(409);
    expect(await isAlive(second.body.access_token)).toBe(true);
    expect((await refresh(second.body.refresh_token)).status).toBe(200);
  });

  test('of two at once, one wins and the other gets 409', async () => {
    const { refreshToken } = await grantToken(sandbox.url);
    const answers = await Promise.all([refresh(refreshToken), refresh(refreshToken)]);
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 409]);
  });

  test('ends the grant after the grace period', async () => {
    const first = await grantToken(sandbox.url);
    const second = await refresh(first.refreshToken);
    await advance(GRACE_MS + 1_000);
    expect(await refresh(first.refreshToken)).toMatchObject(INVALID_GRANT);
    expect(await isAlive(second.body.access_token)).toBe(false);
    expect(await refresh(second.body.refresh_token)).toMatchObject(INVALID_GRANT);
  });

  test('ends the grant at once when the grace period is switched off', async () => {
    await control(sandbox.url, 'POST', 'switches', { duplicateRefreshConflict: false });
    const first = await grantToken(sandbox.url);
    const second = await refresh(first.refreshToken);
    expect(await refresh(first.refreshToken)).toMatchObject(INVALID_GRANT);
    expect(await isAlive(second.body.access_token)).toBe(false);
  });

  test('ends the grant when it comes more than ten times in a second', async () => {
    const first = await grantToken(sandbox.url);
    const answers = await Promise.all(Array.from({ length: 10 }, () => refresh(first.refreshToken)));
    const winner = answers.find(({ status }) => status === 200);
    expect(answers.filter(({ status }) => status === 409)).toHaveLength(9);
    expect(await isAlive(winner?.body.access_token)).toBe(true);
    expect(await refresh(first.refreshToken)).toMatchObject(INVALID_GRANT);
    expect(await isAlive(winner?.body.access_token)).toBe(false);
  });

  test('may be lost with its answer: the old pair is gone then, the new one unseen', async () => {
    const first = await grantToken(sandbox.url);
    await control(sandbox.url, 'POST', 'faults', {
      match: { method: 'POST', path: '/oauth2/v1/token' },
      kind: 'reset',
      effect: 'after',
    });
    await expect(refresh(first.refreshToken)).rejects.toThrow();
    expect(await isAlive(first.accessToken)).toBe(false);
    expect((await refresh(first.refreshToken)).status).toBe(409);
  });
});
