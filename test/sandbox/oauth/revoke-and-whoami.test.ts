import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { createSandbox, type Sandbox } from '../../../sandbox/sandbox.ts';
import { call, control } from '../../support/sandbox-call.ts';
import { grantToken, postForm } from '../../support/sandbox-grant.ts';

const SECOND = { clientId: 'calendly_client_second', clientSecret: 'secret_calendly_second' };

let sandbox: Sandbox;
beforeAll(async () => {
  sandbox = await createSandbox({ size: 'small' });
});
afterAll(() => sandbox.close());
beforeEach(() => sandbox.context.reset());

const whoami = (token: string) => call(sandbox.url, 'GET', '/v0/meta/whoami', { token });

describe('POST /oauth2/v1/revoke', () => {
  test('ends the grant of a refresh token and answers 200 with an empty body', async () => {
    const { accessToken, refreshToken } = await grantToken(sandbox.url);
    const response = await postForm(sandbox.url, '/oauth2/v1/revoke', { token: refreshToken });
    expect([response.status, await response.text()]).toEqual([200, '']);
    expect((await whoami(accessToken)).status).toBe(401);
  });

  test('ends an access token alone', async () => {
    const { accessToken, refreshToken } = await grantToken(sandbox.url);
    await postForm(sandbox.url, '/oauth2/v1/revoke', { token: accessToken });
    expect((await whoami(accessToken)).status).toBe(401);
    const form = { grant_type: 'refresh_token', refresh_token: refreshToken };
    expect((await postForm(sandbox.url, '/oauth2/v1/token', form)).status).toBe(200);
  });

  test('answers 200 for an unknown token, too', async () => {
    expect((await postForm(sandbox.url, '/oauth2/v1/revoke', { token: 'unknown' })).status).toBe(200);
  });

  test("leaves another client's token alone", async () => {
    const { accessToken, refreshToken } = await grantToken(sandbox.url);
    expect((await postForm(sandbox.url, '/oauth2/v1/revoke', { token: refreshToken }, SECOND)).status).toBe(
      200,
    );
    expect((await whoami(accessToken)).status).toBe(200);
  });

  test('needs the client to authenticate', async () => {
    const { refreshToken } = await grantToken(sandbox.url);
    const wrong = { ...SECOND, clientSecret: 'wrong' };
    expect((await postForm(sandbox.url, '/oauth2/v1/revoke', { token: refreshToken }, wrong)).status).toBe(
      401,
    );
  });

  test('does not exist under its switch', async () => {
    await control(sandbox.url, 'POST', 'switches', { revokeEndpoint: false });
    const { accessToken, refreshToken } = await grantToken(sandbox.url);
    expect((await postForm(sandbox.url, '/oauth2/v1/revoke', { token: refreshToken })).status).toBe(404);
    expect((await whoami(accessToken)).status).toBe(200);
  });
});

describe('GET /v0/meta/whoami', () => {
  test('tells id, e-mail and scopes', async () => {
    const scopes = ['data.records:read', 'user.email:read'];
    const { accessToken } = await grantToken(sandbox.url, { scopes });
    expect((await whoami(accessToken)).body).toEqual({
      id: 'usrAdaLovelace001',
      email: 'ada@example.com',
      scopes,
    });
  });

  test('leaves the e-mail out without user.email:read, and needs no scope itself', async () => {
    const { accessToken } = await grantToken(sandbox.url, { scopes: ['webhook:manage'] });
    expect((await whoami(accessToken)).body).toEqual({ id: 'usrAdaLovelace001', scopes: ['webhook:manage'] });
  });

  test('needs user.email:read under the other reading', async () => {
    await control(sandbox.url, 'POST', 'switches', { whoamiNeedsNoScope: false });
    const { accessToken } = await grantToken(sandbox.url, { scopes: ['webhook:manage'] });
    expect((await whoami(accessToken)).status).toBe(403);
  });

  test('tells no scopes for a personal access token', async () => {
    const { token } = await control<{ token: string }>(sandbox.url, 'POST', 'tokens', {});
    expect((await whoami(token)).body).toEqual({ id: 'usrAdaLovelace001', email: 'ada@example.com' });
  });
});

describe('GET /_control/issued', () => {
  test('lists every secret that was handed out or shown', async () => {
    const { accessToken, refreshToken } = await grantToken(sandbox.url);
    const { token } = await control<{ token: string }>(sandbox.url, 'POST', 'tokens', {});
    const { issued } = await control<{ issued: { kind: string; value: string }[] }>(
      sandbox.url,
      'GET',
      'issued',
    );
    expect(issued).toEqual(
      expect.arrayContaining([
        { kind: 'clientSecret', value: 'secret_calendly_abc123' },
        { kind: 'clientSecret', value: 'secret_calendly_second' },
        { kind: 'accessToken', value: accessToken },
        { kind: 'refreshToken', value: refreshToken },
        { kind: 'personalAccessToken', value: token },
        { kind: 'authorizationCode', value: expect.any(String) },
        { kind: 'codeVerifier', value: expect.any(String) },
        { kind: 'codeChallenge', value: expect.any(String) },
      ]),
    );
  });
});
