import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { createSandbox, type Sandbox } from '../../../sandbox/sandbox.ts';
import { control } from '../../support/sandbox-call.ts';
import {
  answerConsent,
  authorizeUrl,
  createPkcePair,
  readConsentForm,
  TEST_REDIRECT,
} from '../../support/sandbox-grant.ts';

const STATE = 'state-0123456789.abc_DEF';
let sandbox: Sandbox;
beforeAll(async () => {
  sandbox = await createSandbox({ size: 'small' });
});
afterAll(() => sandbox.close());
beforeEach(() => sandbox.context.reset());

function urlWith(changes: Record<string, string | null> = {}, suffix = ''): string {
  return authorizeUrl(sandbox.url, createPkcePair().challenge, { state: STATE, ...changes }) + suffix;
}

async function open(
  url: string,
): Promise<{ status: number; location: URL | null; html: string; headers: Headers }> {
  const response = await fetch(url, { redirect: 'manual' });
  const location = response.headers.get('location');
  const html = await response.text();
  return {
    status: response.status,
    location: location === null ? null : new URL(location),
    html,
    headers: response.headers,
  };
}

describe('requests that lead nowhere', () => {
  test.each([
    ['an unknown client', { client_id: 'nobody' }, ''],
    ['no client', { client_id: null }, ''],
    ['a repeated client', {}, '&client_id=calendly_client_xyz789'],
    ['no redirect', { redirect_uri: null }, ''],
    ['a repeated redirect', {}, `&redirect_uri=${encodeURIComponent(TEST_REDIRECT)}`],
    ['a redirect to another host', { redirect_uri: 'https://evil.example/callback' }, ''],
    ['a host that only begins like localhost', { redirect_uri: 'http://localhost.evil.example/' }, ''],
    ['userinfo', { redirect_uri: 'http://localhost@evil.example/' }, ''],
    ['userinfo before localhost', { redirect_uri: 'http://user:pw@localhost/' }, ''],
    ['a fragment', { redirect_uri: 'http://localhost:4000/cb#x' }, ''],
    ['a relative path segment', { redirect_uri: 'http://localhost:4000/a/../cb' }, ''],
    ['an encoded relative path segment', { redirect_uri: 'http://localhost:4000/a/%2e%2E/cb' }, ''],
    ['a star', { redirect_uri: 'http://localhost:4000/*' }, ''],
    ['an encoded NUL', { redirect_uri: 'http://localhost:4000/cb%00' }, ''],
    ['a bad percent-encoding', { redirect_uri: 'http://localhost:4000/cb%zz' }, ''],
    ['a control character', { redirect_uri: 'http://localhost:4000/cb\n' }, ''],
    ['another scheme', { redirect_uri: 'javascript://localhost/%0aalert(1)' }, ''],
    ['a raw address that is no loopback', { redirect_uri: 'http://10.0.0.1/cb' }, ''],
  ])('an error page and no redirect for %s', async (_case, changes, suffix) => {
    const { status, location, html } = await open(urlWith(changes, suffix));
    expect({ status, location }).toEqual({ status: 400, location: null });
    expect(html).toContain('This link does not work');
  });
});

describe('requests that come back with an error', () => {
  test.each([
    ['invalid_request', 'no response type', { response_type: null }, ''],
    ['invalid_request', 'no scope', { scope: null }, ''],
    ['invalid_request', 'a state of 15 characters', { state: 'a'.repeat(15) }, ''],
    ['invalid_request', 'a state of 1025 characters', { state: 'a'.repeat(1_025) }, ''],
    ['invalid_request', 'a state with other characters', { state: 'aaaaaaaaaaaaaaaa~' }, ''],
    ['invalid_request', 'no challenge', { code_challenge: null }, ''],
    ['invalid_request', 'a padded challenge', { code_challenge: `${'a'.repeat(43)}=` }, ''],
    ['invalid_request', 'no challenge method', { code_challenge_method: null }, ''],
    ['invalid_request', 'the plain challenge method', { code_challenge_method: 'plain' }, ''],
    ['invalid_request', 'a repeated parameter', {}, '&scope=data.records:read'],
    ['unsupported_response_type', 'the response type token', { response_type: 'token' }, ''],
    ['invalid_scope', 'an empty scope', { scope: '' }, ''],
    ['invalid_scope', 'a malformed scope', { scope: 'data.records:read  schema.bases:read' }, ''],
    ['invalid_scope', 'a duplicated scope', { scope: 'data.records:read data.records:read' }, ''],
    ['invalid_scope', 'an unknown scope', { scope: 'data.records:read everything' }, ''],
    [
      'invalid_scope',
      'a scope not enabled on the integration',
      { client_id: 'calendly_client_second', scope: 'block:manage' },
      '',
    ],
  ])('%s for %s', async (error, _case, changes, suffix) => {
    const { status, location } = await open(urlWith(changes, suffix));
    expect(status).toBe(302);
    expect(`${location?.origin}${location?.pathname}`).toBe(TEST_REDIRECT);
    expect(location?.searchParams.get('error')).toBe(error);
    expect(location?.searchParams.get('error_description')).toBeTruthy();
    expect(location?.searchParams.get('code')).toBeNull();
    const sentState: string | null = 'state' in changes ? String(changes.state) : STATE;
    expect(location?.searchParams.get('state')).toBe(sentState);
  });

  test('invalid_request without a state, and none comes back', async () => {
    const { location } = await open(urlWith({ state: null }));
    expect(location?.searchParams.get('error')).toBe('invalid_request');
    expect(location?.searchParams.has('state')).toBe(false);
  });

  test('access_denied when the user says no', async () => {
    const location = await answerConsent(urlWith(), 'deny');
    expect(Object.fromEntries(location.searchParams)).toEqual({
      error: 'access_denied',
      error_description: 'The user denied access',
      state: STATE,
    });
  });
});

describe('the consent page', () => {
  test.each([
    ['localhost', 'http://localhost:1234/cb'],
    ['another port', 'http://localhost/cb'],
    ['https', 'https://localhost:8443/cb'],
    ['an IPv4 loopback address', 'http://127.0.0.1:65535/oauth/cb?next=%2Fhome'],
    ['an IPv6 loopback address', 'http://[::1]:4000/cb'],
  ])('opens for a redirect to %s', async (_case, redirectUri) => {
    expect((await open(urlWith({ redirect_uri: redirectUri }))).status).toBe(200);
  });

  test.each(['a'.repeat(16), 'a'.repeat(1_024), 'AZaz09.-_AZaz09.-_'])(
    'opens for the state %#',
    async (state) => {
      expect((await open(urlWith({ state }))).status).toBe(200);
    },
  );

  test('names the app, each scope in words, and each base with a checkbox', async () => {
    const { html } = await open(urlWith({ scope: 'data.records:write webhook:manage' }));
    expect(html).toContain('Omnera Integration');
    expect(html).toContain('Create, edit and delete records');
    expect(html).toContain('Watch a base and be told when it changes');
    expect(html).not.toContain('See the structure of a base');
    expect(readConsentForm(html).getAll('bases')).toEqual(['appABC123', 'appWorldCountries']);
  });

  test('has no script, a policy that allows none, and cannot be framed or cached', async () => {
    const { html, headers } = await open(urlWith());
    const policy = headers.get('content-security-policy') ?? '';
    expect(html).not.toMatch(/<script|\son[a-z]+=|https?:\/\/(?!localhost)/i);
    expect(policy).toContain("default-src 'none'");
    expect(policy).toContain("frame-ancestors 'none'");
    expect(policy).toContain("form-action 'self' http://localhost:4000");
    expect(policy).not.toContain('unsafe-inline');
    expect(headers.get('cache-control')).toBe('no-store');
    expect(headers.get('referrer-policy')).toBe('no-referrer');
  });

  test('escapes what came from outside', async () => {
    await control(sandbox.url, 'POST', 'schema', {
      baseId: 'appABC123',
      addTable: { name: '<img src=x onerror=alert(1)>' },
    });
    const start = await open(`${sandbox.url}/`);
    expect(start.html).not.toContain('<img');
    const { html } = await open(urlWith({ redirect_uri: "http://localhost:1/'%22%3Cb%3E" }));
    expect(html).not.toContain('<b>"');
  });

  test('sends back code and state, and the redirect keeps its own query', async () => {
    const location = await answerConsent(
      urlWith({ redirect_uri: 'http://127.0.0.1:9/cb?next=%2Fa' }),
      'grant',
    );
    expect([...location.searchParams.keys()]).toEqual(['next', 'code', 'state']);
    expect(location.searchParams.get('state')).toBe(STATE);
  });

  test('sends back the challenge as well under its switch', async () => {
    await control(sandbox.url, 'POST', 'switches', { challengeInRedirect: true });
    const location = await answerConsent(urlWith(), 'grant');
    expect(location.searchParams.get('code_challenge_method')).toBe('S256');
    expect(location.searchParams.get('code_challenge')).toHaveLength(43);
  });

  async function submit(html: string, change: (form: URLSearchParams) => void): Promise<Response> {
    const form = readConsentForm(html);
    form.set('decision', 'grant');
    change(form);
    return fetch(`${sandbox.url}/oauth2/v1/authorize`, { method: 'POST', body: form, redirect: 'manual' });
  }

  test('is shown again when no base was chosen, and can still be answered', async () => {
    const { html } = await open(urlWith());
    const again = await submit(html, (form) => form.delete('bases'));
    expect(again.status).toBe(422);
    const page = await again.text();
    expect(page).toContain('Choose at least one base');
    expect((await submit(page, () => undefined)).status).toBe(302);
  });

  test('can be answered once', async () => {
    const { html } = await open(urlWith());
    expect((await submit(html, () => undefined)).status).toBe(302);
    expect((await submit(html, () => undefined)).status).toBe(400);
  });

  test.each([
    ['with a forged ticket', (form: URLSearchParams) => form.set('ticket', 'forged'), 400],
    ['for a base that does not exist', (form: URLSearchParams) => form.append('bases', 'appNope'), 422],
    ['as a user who does not exist', (form: URLSearchParams) => form.set('user', 'usrNope'), 422],
  ])('cannot be answered %s', async (_case, change, status) => {
    const { html } = await open(urlWith());
    expect((await submit(html, change)).status).toBe(status);
  });

  test('cannot be answered after ten minutes', async () => {
    const { html } = await open(urlWith());
    await control(sandbox.url, 'POST', 'clock', { advanceMs: 600_000 });
    expect((await submit(html, () => undefined)).status).toBe(400);
  });
});
