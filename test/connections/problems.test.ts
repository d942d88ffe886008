import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { authorizationUrl, control, openFlow, startTestApp, type TestApp } from '../support/app.ts';
import { answerConsent } from '../support/sandbox-grant.ts';
import { create, grant, read, run } from './lifecycle.ts';

/* Problems that a flow can end with, beside those in states.test.ts, and answers of the token endpoint that are odd but good. */
describe('answers of the provider in a flow', () => {
  let app: TestApp;
  beforeAll(async () => {
    app = await startTestApp();
  });
  beforeEach(() => fetch(`${app.sandbox.url}/_control/faults`, { method: 'DELETE' }));
  afterAll(() => app.close());

  const tokenFault = (fault: object) =>
    control(app.sandbox.url, 'faults', {
      match: { method: 'POST', path: '/oauth2/v1/token' },
      times: 10,
      ...fault,
    });

  test.each([
    ['invalid_scope', 'INVALID_SCOPE'],
    ['invalid_request', 'INVALID_REQUEST'],
    ['unsupported_response_type', 'INVALID_REQUEST'],
    ['unauthorized_client', 'INVALID_CLIENT'],
    ['server_error', 'PROVIDER_UNAVAILABLE'],
    ['temporarily_unavailable', 'PROVIDER_UNAVAILABLE'],
  ])('CONFIGURED, the authorization page refuses with %s: ERROR with %s', async (error, problem) => {
    const id = await create(app, `Redirected with ${error}`);
    const { consentUrl, cookie } = await openFlow(await authorizationUrl(app.graphql, id));
    const callback = await answerConsent(consentUrl, 'deny');
    callback.searchParams.set('error', error);
    const page = await fetch(callback, { headers: { cookie } });
    expect(page.status).toBe(400);
    expect(await page.text()).toContain(problem);
    expect(await read(app, id)).toMatchObject({ state: 'ERROR', problem: { code: problem } });
  });

  test.each([
    ['500', { status: 500 }],
    ['503 in HTML', { status: 503, body: '<h1>Down</h1>', contentType: 'text/html' }],
    ['a broken connection', { kind: 'reset', effect: 'before' }],
    ['an answer that is no JSON', { kind: 'malformed', effect: 'before' }],
  ])(
    'CONFIGURED, the token endpoint answers with %s: ERROR with PROVIDER_UNAVAILABLE',
    async (what, fault) => {
      const id = await create(app, `Exchange with ${what}`);
      await tokenFault(fault);
      await expect(grant(app, id)).rejects.toThrow('PROVIDER_UNAVAILABLE');
      expect(await read(app, id)).toMatchObject({
        state: 'ERROR',
        problem: { code: 'PROVIDER_UNAVAILABLE' },
      });
    },
  );

  test('a token type with a trailing space, as the provider documents it, is accepted', async () => {
    await control(app.sandbox.url, 'switches', { tokenTypeTrailingSpace: true });
    const id = await create(app, 'Bearer and a space');
    await grant(app, id);
    expect(await read(app, id)).toMatchObject({ state: 'CONNECTED', problem: null });
    expect(await run(app, 'rotateTokens', id)).toMatchObject({ __typename: 'RotateTokensSuccess' });
    expect((await run(app, 'testConnection', id)).works).toBe(true);
  });

  test('CONFIGURED, an answer without code and without error: ERROR with INVALID_REQUEST', async () => {
    const id = await create(app, 'Neither code nor error');
    const { consentUrl, cookie } = await openFlow(await authorizationUrl(app.graphql, id));
    const callback = await answerConsent(consentUrl, 'grant');
    callback.searchParams.delete('code');
    const page = await fetch(callback, { headers: { cookie } });
    expect(await page.text()).toContain('INVALID_REQUEST');
    expect(await read(app, id)).toMatchObject({ state: 'ERROR', problem: { code: 'INVALID_REQUEST' } });
  });

  test('CONFIGURED, the code expired before it came back: ERROR with INVALID_GRANT', async () => {
    const id = await create(app, 'Expired code');
    const { consentUrl, cookie } = await openFlow(await authorizationUrl(app.graphql, id));
    const callback = await answerConsent(consentUrl, 'grant');
    await control(app.sandbox.url, 'clock', { advanceMs: 10 * 60_000 + 1 });
    const page = await fetch(callback, { headers: { cookie } });
    expect(await page.text()).toContain('INVALID_GRANT');
    expect(await read(app, id)).toMatchObject({ state: 'ERROR', problem: { code: 'INVALID_GRANT' } });
  });

  test.each([
    [
      'client secret, before the link is opened',
      `UPDATE connection_secrets SET client_secret = 'v1.gone.AAAA.AAAA' WHERE connection_id = $1`,
      'open',
    ],
    [
      'client secret, before the answer',
      `UPDATE connection_secrets SET client_secret = 'v1.gone.AAAA.AAAA' WHERE connection_id = $1`,
      'finish',
    ],
    [
      'PKCE verifier, before the answer',
      `UPDATE authorization_flows SET verifier_envelope = 'v1.gone.AAAA.AAAA' WHERE connection_id = $1`,
      'finish',
    ],
  ])('CONFIGURED, the %s can not be decrypted: ERROR with SECRET_UNREADABLE', async (what, damage, step) => {
    const id = await create(app, what);
    const link = await authorizationUrl(app.graphql, id);
    if (step === 'open') {
      await app.database.query(damage, [id]);
      const page = await fetch(link, { redirect: 'manual' });
      expect([page.status, await page.text()]).toEqual([500, expect.stringContaining('decrypt')]);
    } else {
      const { consentUrl, cookie } = await openFlow(link);
      const callback = await answerConsent(consentUrl, 'grant');
      await app.database.query(damage, [id]);
      const page = await fetch(callback, { headers: { cookie } });
      expect([page.status, await page.text()]).toEqual([400, expect.stringContaining('SECRET_UNREADABLE')]);
    }
    expect(await read(app, id)).toMatchObject({ state: 'ERROR', problem: { code: 'SECRET_UNREADABLE' } });
  });
});
