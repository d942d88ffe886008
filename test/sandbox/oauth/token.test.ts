import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { createSandbox, type Sandbox } from '../../../sandbox/sandbox.ts';
import { call, control } from '../../support/sandbox-call.ts';
import {
  answerConsent,
  authorizeUrl,
  createPkcePair,
  grantToken,
  postForm,
  TEST_CLIENT,
  TEST_REDIRECT,
} from '../../support/sandbox-grant.ts';

const SECOND = { clientId: 'calendly_client_second', clientSecret: 'secret_calendly_second' };
const PUBLIC = { clientId: 'calendly_client_public', clientSecret: null };

let sandbox: Sandbox;
beforeAll(async () => {
  sandbox = await createSandbox({ size: 'small' });
});
afterAll(() => sandbox.close());
beforeEach(() => sandbox.context.reset());

type Exchange = {
  grant_type: string;
  code: string;
  redirect_uri: string;
  code_verifier: string;
};

/** Everything that a valid exchange needs. */
async function consented(clientId = TEST_CLIENT.clientId): Promise<Exchange> {
  const { verifier, challenge } = createPkcePair();
  const redirect = await answerConsent(
    authorizeUrl(sandbox.url, challenge, { client_id: clientId }),
    'grant',
  );
  return {
    grant_type: 'authorization_code',
    code: redirect.searchParams.get('code') ?? '',
    redirect_uri: TEST_REDIRECT,
    code_verifier: verifier,
  };
}

async function exchange(
  parameters: Partial<Record<string, string>>,
  client: { clientId: string; clientSecret: string | null } = TEST_CLIENT,
): Promise<{ status: number; body: Record<string, unknown> }> {
  const form = Object.fromEntries(Object.entries(parameters).filter(([, value]) => value !== undefined));
  const response = await postForm(sandbox.url, '/oauth2/v1/token', form as Record<string, string>, client);
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

/** Posts with exactly this Authorization header (or none) and body. */
function postRaw(body: string, authorization?: string, contentType = 'application/x-www-form-urlencoded') {
  return call(sandbox.url, 'POST', '/oauth2/v1/token', {
    body,
    headers: { 'content-type': contentType, ...(authorization !== undefined && { authorization }) },
  });
}

function basic(text: string, encoding: BufferEncoding = 'base64'): string {
  return `Basic ${Buffer.from(text).toString(encoding)}`;
}

describe('exchanging a code', () => {
  test('answers both tokens with their lifetimes in seconds', async () => {
    const { status, body } = await exchange(await consented());
    expect(status).toBe(200);
    expect(body).toEqual({
      access_token: expect.any(String),
      refresh_token: expect.any(String),
      token_type: 'Bearer',
      scope: 'data.records:read data.records:write schema.bases:read webhook:manage user.email:read',
      expires_in: 3_600,
      refresh_expires_in: 5_184_000,
    });
  });

  test('spells token_type with a trailing space under its switch', async () => {
    await control(sandbox.url, 'POST', 'switches', { tokenTypeTrailingSpace: true });
    expect((await exchange(await consented())).body.token_type).toBe('Bearer ');
  });

  test('never allows browsers of other origins to read the answer', async () => {
    const response = await postForm(sandbox.url, '/oauth2/v1/token', { ...(await consented()) });
    expect(response.headers.get('access-control-allow-origin')).toBeNull();
    expect(response.headers.get('cache-control')).toBe('no-store');
  });

  test('gives a token for the bases that were chosen, as the user who chose them', async () => {
    const { accessToken } = await grantToken(sandbox.url, {
      bases: ['appABC123'],
      userId: 'usrGraceHopper002',
    });
    const bases = await call(sandbox.url, 'GET', '/v0/meta/bases', { token: accessToken });
    expect(bases.body).toMatchObject({ bases: [{ id: 'appABC123', permissionLevel: 'edit' }] });
    const me = await call(sandbox.url, 'GET', '/v0/meta/whoami', { token: accessToken });
    expect(me.body).toMatchObject({ id: 'usrGraceHopper002' });
  });

  test('works for a client without a secret, which names itself in the body', async () => {
    expect((await exchange(await consented(PUBLIC.clientId), PUBLIC)).status).toBe(200);
  });

  test.each([
    ['ordinary base64', 'base64'],
    ['URL-safe base64 without padding', 'base64url'],
  ] as const)('accepts credentials in %s', async (_case, encoding) => {
    const form = new URLSearchParams({ ...(await consented()) });
    const credentials = basic(`${TEST_CLIENT.clientId}:${TEST_CLIENT.clientSecret}`, encoding);
    expect((await postRaw(form.toString(), credentials)).status).toBe(200);
  });

  test('accepts a client_id in the body that equals the header', async () => {
    const valid = await consented();
    expect((await exchange({ ...valid, client_id: TEST_CLIENT.clientId })).status).toBe(200);
  });
});

describe('refused exchanges', () => {
  test.each([
    ['expired after ten minutes', 600_000, 400],
    ['good until then', 590_000, 200],
  ])('a code is %s, counted from the authorization request', async (_case, advanceMs, status) => {
    const valid = await consented();
    await control(sandbox.url, 'POST', 'clock', { advanceMs });
    expect((await exchange(valid)).status).toBe(status);
  });

  test('a code works once', async () => {
    const valid = await consented();
    expect((await exchange(valid)).status).toBe(200);
    expect(await exchange(valid)).toMatchObject({ status: 400, body: { error: 'invalid_grant' } });
  });

  test.each([
    ['a wrong verifier', { code_verifier: createPkcePair().verifier }],
    ['another redirect', { redirect_uri: 'http://localhost:4000/elsewhere' }],
    ['a missing verifier', { code_verifier: undefined }],
    ['an unknown grant type', { grant_type: 'password' }],
  ])('a code is used up by a request that fails for %s', async (_case, changes) => {
    const valid = await consented();
    expect((await exchange({ ...valid, ...changes })).status).toBe(400);
    expect(await exchange(valid)).toMatchObject({ status: 400, body: { error: 'invalid_grant' } });
  });

  test.each<[string, string, Partial<Record<keyof Exchange, string | undefined>>]>([
    ['invalid_grant', 'an unknown code', { code: 'nope' }],
    ['invalid_grant', 'another redirect_uri', { redirect_uri: 'http://localhost:4000/elsewhere' }],
    ['invalid_grant', 'a verifier that does not match', { code_verifier: 'a'.repeat(43) }],
    ['invalid_request', 'a verifier of 42 characters', { code_verifier: 'a'.repeat(42) }],
    ['invalid_request', 'a verifier of 129 characters', { code_verifier: 'a'.repeat(129) }],
    ['invalid_request', 'a verifier with a tilde', { code_verifier: `${'a'.repeat(43)}~` }],
    ['invalid_request', 'no verifier', { code_verifier: undefined }],
    ['invalid_request', 'no code', { code: undefined }],
    ['invalid_request', 'no redirect_uri', { redirect_uri: undefined }],
    ['invalid_request', 'no grant_type', { grant_type: undefined }],
    ['unsupported_grant_type', 'another grant_type', { grant_type: 'client_credentials' }],
  ])('400 %s for %s', async (error, _case, changes) => {
    const answer = await exchange({ ...(await consented()), ...changes });
    expect(answer).toEqual({ status: 400, body: { error, error_description: expect.any(String) } });
  });

  test('400 invalid_grant for a code of another client', async () => {
    expect(await exchange(await consented(), SECOND)).toMatchObject({
      status: 400,
      body: { error: 'invalid_grant' },
    });
  });

  test('400 invalid_request for a repeated parameter and for another content type', async () => {
    const form = new URLSearchParams({ ...(await consented()) });
    const credentials = basic(`${TEST_CLIENT.clientId}:${TEST_CLIENT.clientSecret}`);
    const repeated = await postRaw(`${form.toString()}&grant_type=authorization_code`, credentials);
    expect(repeated).toMatchObject({ status: 400, body: { error: 'invalid_request' } });
    const json = await postRaw(JSON.stringify(Object.fromEntries(form)), credentials, 'application/json');
    expect(json).toMatchObject({ status: 400, body: { error: 'invalid_request' } });
  });

  test.each([
    ['an unknown client', basic('nobody:secret'), ''],
    ['a wrong secret', basic(`${TEST_CLIENT.clientId}:wrong`), ''],
    ['a missing secret', undefined, `client_id=${TEST_CLIENT.clientId}`],
    [
      'the secret in the body',
      undefined,
      `client_id=${TEST_CLIENT.clientId}&client_secret=${TEST_CLIENT.clientSecret}`,
    ],
    ['a secret for a client without one', basic('calendly_client_public:anything'), ''],
    [
      'a header for a client without a secret',
      basic('calendly_client_public:'),
      'client_id=calendly_client_public',
    ],
    [
      'header and body ids that differ',
      basic(`${TEST_CLIENT.clientId}:${TEST_CLIENT.clientSecret}`),
      `client_id=${SECOND.clientId}`,
    ],
    ['another scheme', 'Bearer abc', `client_id=${TEST_CLIENT.clientId}`],
    ['no client at all', undefined, ''],
  ])('401 invalid_client for %s', async (_case, authorization, extra) => {
    const form = new URLSearchParams({ ...(await consented()) });
    const answer = await postRaw(`${form.toString()}&${extra}`, authorization);
    expect(answer).toMatchObject({ status: 401, body: { error: 'invalid_client' } });
  });

  test('error_description may be absent', async () => {
    await control(sandbox.url, 'POST', 'switches', { omitErrorDescription: true });
    expect((await exchange({ ...(await consented()), code: 'nope' })).body).toEqual({
      error: 'invalid_grant',
    });
  });
});
