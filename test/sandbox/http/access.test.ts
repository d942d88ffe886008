import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { connect } from 'node:net';
import { createSandbox, type Sandbox } from '../../../sandbox/sandbox.ts';
import { call, control } from '../../support/sandbox-call.ts';
import { ALL_SCOPES, grantToken } from '../../support/sandbox-grant.ts';

const NOT_FOUND_OR_FORBIDDEN = {
  error: {
    type: 'INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND',
    message:
      'Invalid permissions, or the requested model was not found. Check that both your user and your token have the required permissions, and that the model names and/or ids are correct.',
  },
};
const AUTHENTICATION_REQUIRED = {
  error: { type: 'AUTHENTICATION_REQUIRED', message: 'Authentication required' },
};
const UNAUTHORIZED = { error: { type: 'UNAUTHORIZED', message: 'Invalid authentication token' } };
const CONTACTS = '/v0/appABC123/Contacts?maxRecords=1';

let sandbox: Sandbox;
beforeAll(async () => {
  sandbox = await createSandbox({ size: 'small' });
});
afterAll(() => sandbox.close());
beforeEach(async () => {
  sandbox.context.reset();
  await control(sandbox.url, 'POST', 'limits', { requestsPerSecond: 0 });
});

describe('who may call', () => {
  test.each([
    ['no header', {}, AUTHENTICATION_REQUIRED],
    ['another scheme', { authorization: 'Basic abc' }, AUTHENTICATION_REQUIRED],
    ['an empty bearer', { authorization: 'Bearer ' }, AUTHENTICATION_REQUIRED],
    ['an unknown token', { authorization: 'Bearer patNope' }, UNAUTHORIZED],
  ])('401 for %s', async (_case, headers, body) => {
    const answer = await call(sandbox.url, 'GET', CONTACTS, { headers });
    expect(answer).toMatchObject({ status: 401, body });
  });

  test('401 AUTHENTICATION_REQUIRED for an unknown token under the other reported reading', async () => {
    await control(sandbox.url, 'POST', 'switches', { invalidTokenType: 'AUTHENTICATION_REQUIRED' });
    const answer = await call(sandbox.url, 'GET', CONTACTS, { token: 'nope' });
    expect(answer.body).toMatchObject({ error: { type: 'AUTHENTICATION_REQUIRED' } });
  });

  test('the old api_key query parameter is not accepted', async () => {
    const { accessToken } = await grantToken(sandbox.url);
    const answer = await call(sandbox.url, 'GET', `${CONTACTS}&api_key=${accessToken}`);
    expect(answer.status).toBe(401);
  });

  test('401 for an expired token', async () => {
    const { accessToken } = await grantToken(sandbox.url);
    await control(sandbox.url, 'POST', 'clock', { advanceMs: 3_599_000 });
    expect((await call(sandbox.url, 'GET', CONTACTS, { token: accessToken })).status).toBe(200);
    await control(sandbox.url, 'POST', 'clock', { advanceMs: 1_000 });
    expect(await call(sandbox.url, 'GET', CONTACTS, { token: accessToken })).toMatchObject({
      status: 401,
      body: UNAUTHORIZED,
    });
  });

  test('401 for the token of a revoked grant', async () => {
    const { accessToken } = await grantToken(sandbox.url);
    await control(sandbox.url, 'POST', 'revoke', { clientId: 'calendly_client_xyz789' });
    expect((await call(sandbox.url, 'GET', CONTACTS, { token: accessToken })).body).toEqual(UNAUTHORIZED);
  });

  test.each([
    ['GET', CONTACTS, 'data.records:read'],
    ['GET', '/v0/meta/bases', 'schema.bases:read'],
    ['GET', '/v0/meta/bases/appABC123/tables', 'schema.bases:read'],
    ['POST', '/v0/appABC123/Contacts', 'data.records:write'],
    ['PATCH', '/v0/appABC123/Contacts', 'data.records:write'],
    ['PUT', '/v0/appABC123/Contacts', 'data.records:write'],
    ['DELETE', '/v0/appABC123/Contacts?records[]=rec1', 'data.records:write'],
    ['GET', '/v0/bases/appABC123/webhooks', 'webhook:manage'],
    ['POST', '/v0/bases/appABC123/webhooks', 'webhook:manage'],
  ])('403 for %s %s without %s, a write scope not implying the read scope', async (method, path, scope) => {
    const { accessToken } = await grantToken(sandbox.url, {
      scopes: ALL_SCOPES.filter((granted) => granted !== scope),
    });
    const json = method === 'GET' || method === 'DELETE' ? undefined : {};
    const answer = await call(sandbox.url, method, path, { token: accessToken, json });
    expect(answer).toMatchObject({ status: 403, body: NOT_FOUND_OR_FORBIDDEN });
  });

  test('403 with the same body for an unknown base, an ungranted base and an unknown table', async () => {
    const { accessToken } = await grantToken(sandbox.url, { bases: ['appABC123'] });
    for (const path of ['/v0/appUnknown/T', '/v0/appWorldCountries/Countries', '/v0/appABC123/Nope']) {
      const answer = await call(sandbox.url, 'GET', path, { token: accessToken });
      expect(answer).toMatchObject({ status: 403, body: NOT_FOUND_OR_FORBIDDEN });
    }
  });

  test('403 as soon as the user takes a base back', async () => {
    const { accessToken } = await grantToken(sandbox.url);
    const { grants } = await control<{ grants: { id: string }[] }>(sandbox.url, 'GET', 'grants');
    await control(sandbox.url, 'POST', 'grants', { grantId: grants[0]?.id, baseIds: ['appWorldCountries'] });
    expect((await call(sandbox.url, 'GET', CONTACTS, { token: accessToken })).status).toBe(403);
  });

  test.each([
    ['usrAlanTuring0003', 'read', 'POST', '/v0/appABC123/Contacts'],
    ['usrGraceHopper002', 'edit', 'POST', '/v0/bases/appABC123/webhooks'],
  ])('403 INVALID_PERMISSIONS for %s, who may only %s, on %s %s', async (userId, _role, method, path) => {
    const { accessToken } = await grantToken(sandbox.url, { userId });
    const answer = await call(sandbox.url, method, path, { token: accessToken, json: {} });
    expect(answer).toMatchObject({
      status: 403,
      body: {
        error: {
          type: 'INVALID_PERMISSIONS',
          message: 'You are not permitted to perform this operation',
        },
      },
    });
  });

  test('a user without any role in a base does not see it', async () => {
    const { accessToken } = await grantToken(sandbox.url);
    const role = { userId: 'usrAdaLovelace001', baseId: 'appABC123', role: 'none' };
    await control(sandbox.url, 'POST', 'roles', role);
    const answer = await call(sandbox.url, 'GET', CONTACTS, { token: accessToken });
    expect(answer).toMatchObject({ status: 403, body: NOT_FOUND_OR_FORBIDDEN });
  });
});

describe('requests that fit no route', () => {
  test.each(['/v0/nonsense', '/v0/base1/T', '/v0/appABC123/T/1', '/nope', '/oauth2/v2/token'])(
    '404 for %s, before the token is looked at',
    async (path) => {
      expect(await call(sandbox.url, 'GET', path)).toMatchObject({
        status: 404,
        body: { error: 'NOT_FOUND' },
      });
    },
  );

  test('404 as an object under the other reported form', async () => {
    await control(sandbox.url, 'POST', 'switches', { notFoundBody: 'object' });
    const answer = await call(sandbox.url, 'GET', '/nope');
    expect(answer.body).toEqual({ error: { type: 'NOT_FOUND' } });
  });
});

describe('bodies and addresses', () => {
  test.each([422, 400])('%i INVALID_REQUEST_BODY for a body that is not JSON', async (status) => {
    await control(sandbox.url, 'POST', 'switches', { unparseableBodyStatus: status });
    const { accessToken } = await grantToken(sandbox.url);
    const answer = await call(sandbox.url, 'POST', '/v0/appABC123/Contacts', {
      token: accessToken,
      body: '{"fields":',
      headers: { 'content-type': 'application/json' },
    });
    expect(answer).toMatchObject({
      status,
      body: { error: { type: 'INVALID_REQUEST_BODY', message: 'Could not parse request body' } },
    });
  });

  test('413 REQUEST_TOO_LARGE for more than 20 MB, told before the body is sent', async () => {
    const socket = connect(sandbox.port, '127.0.0.1');
    const answer = new Promise<string>((resolve) => {
      let text = '';
      socket.on('data', (chunk: Buffer) => (text += chunk.toString()));
      socket.on('close', () => resolve(text));
    });
    socket.write(
      `POST /v0/appABC123/Contacts HTTP/1.1\r\nhost: localhost\r\ncontent-length: ${21 * 1024 * 1024}\r\n\r\n{`,
    );
    expect(await answer).toMatch(/^HTTP\/1\.1 413 [\s\S]*"type":"REQUEST_TOO_LARGE"/);
  });

  test('413 for a body of unknown length that grows too large', async () => {
    const chunk = new Uint8Array(1024 * 1024);
    let sent = 0;
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        if ((sent += 1) > 25) controller.close();
        else controller.enqueue(chunk);
      },
    });
    const url = `${sandbox.url}/v0/appABC123/Contacts`;
    const request = fetch(url, { method: 'POST', body, duplex: 'half' } as RequestInit);
    // A client that is still writing may see the connection end before it reads the answer.
    const status = await request.then((response) => response.status).catch(() => 413);
    expect(status).toBe(413);
    expect((await call(sandbox.url, 'GET', '/_control/clock')).status).toBe(200);
  });

  test('URLs shorter than 16,000 characters pass, longer ones do not', async () => {
    const { accessToken } = await grantToken(sandbox.url);
    const prefix = '/v0/appABC123/Contacts?maxRecords=1&x=';
    const longest = prefix + 'y'.repeat(15_999 - prefix.length);
    expect((await call(sandbox.url, 'GET', longest, { token: accessToken })).status).toBe(200);
    expect((await call(sandbox.url, 'GET', `${longest}y`, { token: accessToken })).status).toBe(414);
  });

  test('answers are JSON in UTF-8', async () => {
    const { headers } = await call(sandbox.url, 'GET', '/v0/meta/whoami');
    expect(headers.get('content-type')).toBe('application/json; charset=utf-8');
  });
});

describe('what known clients send', () => {
  test.each([
    ['a lone question mark behind the path', 'GET', '/v0/appABC123/Contacts?'],
    ['a trailing slash and a question mark', 'POST', '/v0/appABC123/Contacts/?'],
    ['an encoded table name', 'GET', '/v0/appABC123/%43ontacts'],
    ['a table id', 'GET', '/v0/appABC123/tblDEF456'],
    ['bracketed, percent-encoded parameters', 'GET', '/v0/appABC123/Contacts?fields%5B%5D=Name&maxRecords=1'],
    ['an empty offset', 'GET', '/v0/appABC123/Contacts?offset='],
  ])('%s', async (_case, method, path) => {
    const { accessToken } = await grantToken(sandbox.url);
    const answer = await call(sandbox.url, method, path, {
      token: accessToken,
      ...(method === 'POST' && { json: { fields: { Name: 'X' } } }),
      headers: {
        'content-type': 'application/json',
        'x-api-version': '0.1.0',
        'x-airtable-application-id': 'appABC123',
      },
    });
    expect(answer.status).toBe(200);
  });
});
