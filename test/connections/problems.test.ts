import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { authorizationUrl, control, openFlow, startTestApp, type TestApp } from '../support/app.ts';
import { answerConsent } from '../support/sandbox-grant.ts';
import { create, grant, read } from './lifecycle.ts';

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
  });
});
