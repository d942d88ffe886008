import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { createSandbox, type Sandbox } from '../../../sandbox/sandbox.ts';
import { control } from '../../support/sandbox-call.ts';
import { ALL_SCOPES, grantToken } from '../../support/sandbox-grant.ts';
import { BASE_ID, WEBHOOKS, WebhookCalls } from './webhook-calls.ts';

const DAY_MS = 86_400_000;
const SECOND = { clientId: 'calendly_client_second', clientSecret: 'secret_calendly_second' };

let sandbox: Sandbox;
let calls: WebhookCalls;
beforeAll(async () => {
  sandbox = await createSandbox({ size: 'small' });
});
afterAll(() => sandbox.close());
beforeEach(async () => {
  sandbox.context.reset();
  sandbox.context.settings.changeLimits({ requestsPerSecond: 0, accessTokenLifetimeMs: 1e12 });
  calls = new WebhookCalls(sandbox, (await grantToken(sandbox.url)).accessToken);
});

const advance = (advanceMs: number) => control(sandbox.url, 'POST', 'clock', { advanceMs });

async function personalCalls(): Promise<WebhookCalls> {
  const { token } = await control<{ token: string }>(sandbox.url, 'POST', 'tokens', {});
  return new WebhookCalls(sandbox, token);
}

describe('creating a webhook', () => {
  test('answers id, secret and an expiry in 7 days', async () => {
    const before = sandbox.context.clock.now();
    const created = await calls.create();
    expect(created).toEqual({
      id: expect.stringMatching(/^ach[0-9A-Za-z]{14}$/),
      macSecretBase64: expect.any(String),
      expirationTime: expect.any(String),
    });
    expect(Buffer.from(created.macSecretBase64, 'base64')).toHaveLength(32);
    expect(Date.parse(created.expirationTime) - before).toBeGreaterThanOrEqual(7 * DAY_MS);
  });

  test('tells the secret once: the list has every other key, and not the secret', async () => {
    const { id, macSecretBase64, expirationTime } = await calls.create(
      { dataTypes: ['tableData'], recordChangeScope: 'tblDEF456' },
      { includes: { includePreviousCellValues: true }, notificationUrl: 'http://localhost:9/hook' },
    );
    const { body } = await calls.call('GET', WEBHOOKS);
    expect(body).toEqual({
      webhooks: [
        {
          id,
          areNotificationsEnabled: true,
          cursorForNextPayload: 1,
          isHookEnabled: true,
          lastSuccessfulNotificationTime: null,
          notificationUrl: 'http://localhost:9/hook',
          expirationTime,
          lastNotificationResult: null,
          specification: {
            options: {
              filters: { dataTypes: ['tableData'], recordChangeScope: 'tblDEF456' },
              includes: { includePreviousCellValues: true },
            },
          },
        },
      ],
    });
    expect(JSON.stringify(body)).not.toContain(macSecretBase64);
    expect(JSON.stringify(await control(sandbox.url, 'GET', 'webhooks'))).not.toContain(macSecretBase64);
    const { issued } = await control<{ issued: unknown[] }>(sandbox.url, 'GET', 'issued');
    expect(issued).toContainEqual({ kind: 'webhookMacSecret', value: macSecretBase64 });
  });

  test('needs no notificationUrl', async () => {
    const { id } = await calls.create();
    expect(await calls.listed(id)).toMatchObject({ notificationUrl: null });
  });

  const filters = { dataTypes: ['tableData'] };
  test.each<[string, unknown]>([
    ['no body', undefined],
    ['no specification', {}],
    ['no options', { specification: {} }],
    ['no filters', { specification: { options: {} } }],
    ['no dataTypes', { specification: { options: { filters: {} } } }],
    ['empty dataTypes', { specification: { options: { filters: { dataTypes: [] } } } }],
    ['an unknown data type', { specification: { options: { filters: { dataTypes: ['records'] } } } }],
    [
      'an unknown change type',
      { specification: { options: { filters: { ...filters, changeTypes: ['delete'] } } } },
    ],
    [
      'an unknown source',
      { specification: { options: { filters: { ...filters, fromSources: ['robot'] } } } },
    ],
    ['an unknown key', { specification: { options: { filters: { ...filters, scope: 'tblDEF456' } } } }],
    [
      'a table name as the scope',
      { specification: { options: { filters: { ...filters, recordChangeScope: 'Contacts' } } } },
    ],
    [
      'a table that does not exist',
      { specification: { options: { filters: { ...filters, recordChangeScope: 'tblNope' } } } },
    ],
    [
      'a view that does not exist',
      { specification: { options: { filters: { ...filters, recordChangeScope: 'viwNope' } } } },
    ],
    [
      'a field name to watch',
      { specification: { options: { filters: { ...filters, watchDataInFieldIds: ['Name'] } } } },
    ],
    [
      'a field that does not exist',
      { specification: { options: { filters: { ...filters, watchDataInFieldIds: ['fldNope'] } } } },
    ],
    [
      'a schema field that does not exist',
      { specification: { options: { filters: { ...filters, watchSchemasOfFieldIds: ['fldNope'] } } } },
    ],
    [
      'a flag that is no boolean',
      { specification: { options: { filters, includes: { includePreviousCellValues: 1 } } } },
    ],
    [
      'values to include that are neither a list nor all',
      { specification: { options: { filters, includes: { includeCellValuesInFieldIds: 'some' } } } },
    ],
    [
      'a form view that is no view',
      {
        specification: {
          options: { filters: { ...filters, sourceOptions: { formSubmission: { viewId: 'tblDEF456' } } } },
        },
      },
    ],
    [
      'a notificationUrl that is no URL',
      { notificationUrl: 'hook', specification: { options: { filters } } },
    ],
    [
      'a notificationUrl of another scheme',
      { notificationUrl: 'ftp://localhost/', specification: { options: { filters } } },
    ],
  ])('is refused with 422 for %s', async (_case, body) => {
    const answer = await calls.call('POST', WEBHOOKS, body);
    expect(answer).toMatchObject({ status: 422, body: { error: { type: 'INVALID_REQUEST_UNKNOWN' } } });
    expect((await calls.call('GET', WEBHOOKS)).body).toEqual({ webhooks: [] });
  });

  test('is refused for the third of one integration in a base, until one is deleted', async () => {
    const { id } = await calls.create();
    await calls.create();
    const body = { specification: { options: { filters } } };
    expect((await calls.call('POST', WEBHOOKS, body)).status).toBe(422);
    await calls.call('DELETE', `${WEBHOOKS}/${id}`);
    expect((await calls.call('POST', WEBHOOKS, body)).status).toBe(200);
  });

  test('is refused with TOO_MANY_WEBHOOKS_IN_BASE for the eleventh of a base', async () => {
    const personal = await personalCalls();
    await calls.create();
    for (let i = 0; i < 9; i += 1) await personal.create();
    const answer = await personal.call('POST', WEBHOOKS, { specification: { options: { filters } } });
    expect(answer).toMatchObject({ status: 422, body: { error: { type: 'TOO_MANY_WEBHOOKS_IN_BASE' } } });
  });
});

describe('rights', () => {
  test.each([
    ['tableData', 'data.records:read'],
    ['tableFields', 'schema.bases:read'],
    ['tableMetadata', 'schema.bases:read'],
  ])('creating and reading a webhook on %s need %s', async (dataType, scope) => {
    const { id } = await calls.create({ dataTypes: [dataType] });
    const { accessToken } = await grantToken(sandbox.url, {
      scopes: ALL_SCOPES.filter((one) => one !== scope),
    });
    const weaker = new WebhookCalls(sandbox, accessToken);
    const body = { specification: { options: { filters: { dataTypes: [dataType] } } } };
    expect((await weaker.call('POST', WEBHOOKS, body)).status).toBe(403);
    expect((await weaker.call('GET', `${WEBHOOKS}/${id}/payloads`)).status).toBe(403);
    expect((await weaker.call('GET', WEBHOOKS)).status).toBe(200);
  });

  test.each([
    ['POST', '', 403],
    ['DELETE', '/ID', 403],
    ['POST', '/ID/refresh', 403],
    ['POST', '/ID/enableNotifications', 403],
    ['GET', '', 200],
    ['GET', '/ID/payloads', 200],
  ])('a reader of the base gets for %s %s %i', async (method, path, status) => {
    const { id } = await calls.create();
    const { accessToken } = await grantToken(sandbox.url, { userId: 'usrAlanTuring0003' });
    const reader = new WebhookCalls(sandbox, accessToken);
    const json = method === 'POST' ? { enable: true } : undefined;
    expect((await reader.call(method, WEBHOOKS + path.replace('ID', id), json)).status).toBe(status);
  });

  test('an integration sees and reaches only its own', async () => {
    const { id } = await calls.create();
    const other = new WebhookCalls(sandbox, (await grantToken(sandbox.url, SECOND)).accessToken);
    expect((await other.call('GET', WEBHOOKS)).body).toEqual({ webhooks: [] });
    const attempts = [
      other.call('GET', `${WEBHOOKS}/${id}/payloads`),
      other.call('DELETE', `${WEBHOOKS}/${id}`),
      other.call('POST', `${WEBHOOKS}/${id}/refresh`),
      other.call('POST', `${WEBHOOKS}/${id}/enableNotifications`, { enable: false }),
    ];
    for (const { status } of await Promise.all(attempts)) expect(status).toBe(404);
    expect(await calls.listed(id)).toBeDefined();
  });

  test('a webhook is reached only through its own base', async () => {
    const { id } = await calls.create();
    expect((await calls.call('GET', `/v0/bases/appWorldCountries/webhooks/${id}/payloads`)).status).toBe(404);
  });
});

describe('the life of a webhook', () => {
  test.each([200, 204])('deleting answers %i with an empty body, then it is gone', async (status) => {
    await control(sandbox.url, 'POST', 'switches', { emptyWebhookStatus: status });
    const { id } = await calls.create();
    expect(await calls.call('DELETE', `${WEBHOOKS}/${id}`)).toMatchObject({ status, body: null });
    expect(await calls.call('DELETE', `${WEBHOOKS}/${id}`)).toMatchObject({ status: 404 });
    expect(await calls.listed(id)).toBeUndefined();
  });

  test('refreshing extends it to 7 days from the call', async () => {
    const { id } = await calls.create();
    await advance(6 * DAY_MS);
    const { status, body } = await calls.call('POST', `${WEBHOOKS}/${id}/refresh`);
    expect(status).toBe(200);
    const { expirationTime } = body as { expirationTime: string };
    expect(Date.parse(expirationTime)).toBeGreaterThan(sandbox.context.clock.now() + 7 * DAY_MS - 60_000);
    expect(await calls.listed(id)).toMatchObject({ expirationTime, isHookEnabled: true });
  });

  test('reading payloads extends it as well', async () => {
    const { id } = await calls.create();
    await advance(6 * DAY_MS);
    await calls.payloads(id);
    await advance(6 * DAY_MS);
    expect(await calls.listed(id)).toMatchObject({ isHookEnabled: true });
  });

  test('after 7 days it is disabled, makes no payloads and cannot be refreshed', async () => {
    const { id } = await calls.create();
    await advance(7 * DAY_MS);
    expect(await calls.listed(id)).toMatchObject({ isHookEnabled: false });
    await calls.createContact({ Name: 'Late' });
    expect((await calls.payloads(id)).payloads).toEqual([]);
    expect((await calls.call('POST', `${WEBHOOKS}/${id}/refresh`)).status).toBe(422);
  });

  test('its payloads stay readable for 7 more days, but reading does not bring it back', async () => {
    sandbox.context.settings.changeLimits({ payloadRetentionMs: 100 * DAY_MS });
    const { id } = await calls.create();
    await calls.createContact({ Name: 'Early' });
    await advance(13 * DAY_MS);
    expect((await calls.payloads(id)).payloads).toHaveLength(1);
    expect(await calls.listed(id)).toMatchObject({ isHookEnabled: false });
    await advance(DAY_MS);
    expect((await calls.call('GET', `${WEBHOOKS}/${id}/payloads`)).status).toBe(404);
    expect(await calls.listed(id)).toBeUndefined();
  });

  test('notifications are switched off and on', async () => {
    const { id } = await calls.create(undefined, { notificationUrl: 'http://localhost:9/' });
    const path = `${WEBHOOKS}/${id}/enableNotifications`;
    expect(await calls.call('POST', path, { enable: false })).toMatchObject({ status: 200, body: null });
    expect(await calls.listed(id)).toMatchObject({ areNotificationsEnabled: false, isHookEnabled: true });
    expect((await calls.call('POST', path, { enable: true })).status).toBe(200);
    expect(await calls.listed(id)).toMatchObject({ areNotificationsEnabled: true });
    expect((await calls.call('POST', path, { enable: 'yes' })).status).toBe(422);
    expect((await calls.call('POST', path)).status).toBe(422);
  });

  test('calls of webhooks count against the base', async () => {
    await control(sandbox.url, 'DELETE', 'calls');
    const { id } = await calls.create();
    await calls.payloads(id);
    expect(await control(sandbox.url, 'GET', 'calls')).toMatchObject({
      byBase: { [BASE_ID]: { byEndpoint: { createWebhook: 1, listWebhookPayloads: 1 } } },
    });
  });
});
