import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { startTestApp, type TestApp } from '../support/app.ts';

const fields = 'id name role connections bases configured createdAt expiresAt lastUsedAt revokedAt';

let app: TestApp;
let connection: number;
let other: number;
beforeAll(async () => {
  app = await startTestApp();
  connection = await app.connect();
  other = await app.connect();
});
afterAll(() => app.close());

const create = async (input: object, key?: string) => {
  const { data, errors } = await app.graphql(
    `mutation ($input: CreateApiKeyInput!) { createApiKey(input: $input) {
      __typename ... on CreateApiKeySuccess { key apiKey { ${fields} } } ... on Error { code message } ... on InvalidInputError { faults { path message } } } }`,
    { input },
    key === undefined ? {} : { key },
  );
  return data?.createApiKey ?? errors?.[0];
};

const revoke = async (id: number, key?: string) => {
  const { data } = await app.graphql(
    `mutation ($id: Int!) { revokeApiKey(input: { id: $id }) { __typename ... on RevokeApiKeySuccess { apiKey { ${fields} } } ... on Error { code message } } }`,
    { id },
    key === undefined ? {} : { key },
  );
  return data.revokeApiKey;
};

const list = async (key?: string) =>
  (await app.graphql(`{ apiKeys { ${fields} } }`, {}, key === undefined ? {} : { key })).data.apiKeys;

describe('a key made by GraphQL', () => {
  test('is shown once, works, and is listed without the key or its hash', async () => {
    const made = await create({
      name: 'Website',
      role: 'VIEWER',
      connections: [connection, connection],
      bases: ['appABC123'],
      expiresAt: '2100-01-01T00:00:00Z',
    });
    expect(made).toMatchObject({
      __typename: 'CreateApiKeySuccess',
      key: expect.stringMatching(/^ock_\S{43}$/),
    });
    const reached = await app.graphql('{ connections { id } }', {}, { key: made.key });
    expect(reached.data).toEqual({ connections: [{ id: connection }] });

    const keys = await list();
    const listed = keys.find(({ id }: { id: number }) => id === made.apiKey.id);
    expect(listed).toMatchObject({
      name: 'Website',
      role: 'VIEWER',
      connections: [connection],
      bases: ['appABC123'],
      configured: false,
      expiresAt: '2100-01-01T00:00:00.000Z',
      revokedAt: null,
    });
    const [{ hash }] = (await app.database.query(
      `SELECT encode(key_hash, 'hex') AS hash FROM api_keys WHERE id = $1`,
      [listed.id],
    )) as [{ hash: string }];
    expect(JSON.stringify(keys)).not.toContain(made.key);
    expect(JSON.stringify(keys)).not.toContain(hash);
    expect(app.logs.text).not.toContain(made.key);
  });

  test('opens nothing once it is revoked, which can be done twice', async () => {
    const { key, apiKey } = await create({ name: 'Short', role: 'EDITOR' });
    expect(apiKey).toMatchObject({ connections: null, bases: null, expiresAt: null, revokedAt: null });
    const first = await revoke(apiKey.id);
    expect(first.apiKey.revokedAt).not.toBeNull();
    expect((await app.graphql('{ __typename }', {}, { key })).status).toBe(401);
    expect(await revoke(apiKey.id)).toEqual(first);
  });

  test('tells all faults of its input at once, each with its place', async () => {
    const { __typename, faults } = await create({
      name: ' ',
      connections: [],
      bases: ['tblDEF456'],
      expiresAt: '2001-01-01T00:00:00Z',
    });
    expect(__typename).toBe('InvalidInputError');
    expect(
      faults.map(({ path, message }: { path: string[]; message: string }) => `${path.join('.')}: ${message}`),
    ).toEqual([
      'name: Key name must be at least 1 character',
      'role: Role must be one of viewer, editor, admin',
      'connections: A key without connections is of no use: name at least one, or leave connections out for all of them',
      "bases.0: A base is named by its id, which starts with 'app'",
      'expiresAt: The end of a key must lie in the future',
    ]);
  });

  test.each([
    ['101 characters', 'x'.repeat(101), 'Key name must not exceed 100 characters'],
    ['control characters', 'a\u001b[2Jb', 'Key name must not contain control characters'],
  ])('does not take a name with %s', async (_what, name, message) => {
    expect((await create({ name, role: 'VIEWER' })).faults).toEqual([{ path: ['name'], message }]);
  });

  test('can only name connections that there are', async () => {
    expect(
      await create({ name: 'Nowhere', role: 'VIEWER', connections: [connection, 424242] }),
    ).toMatchObject({
      __typename: 'ConnectionNotFoundError',
      message: expect.stringContaining('424242'),
    });
  });
});

describe('the configured admin key', () => {
  test('can not be revoked; the answer says how to change it', async () => {
    const configured = (await list()).find((key: { configured: boolean }) => key.configured);
    const refused = await revoke(configured.id);
    expect(refused).toMatchObject({ __typename: 'ApiKeyConfiguredError', code: 'API_KEY_CONFIGURED' });
    expect(refused.message).toContain('ADMIN_API_KEY');
    expect((await app.graphql('{ __typename }')).status).toBe(200);
  });

  test('is revoked by configuring another, which leaves keys of the same name alone', async () => {
    const { key } = await create({ name: 'configured admin key', role: 'VIEWER' });
    const next = 'another_administrator_key_of_the_test';
    await app.app.keys.ensureAdminKey(next);
    expect((await app.graphql('{ __typename }')).status).toBe(401);
    expect((await app.graphql('{ __typename }', {}, { key: next })).status).toBe(200);
    await app.app.keys.ensureAdminKey(app.adminKey);
    expect((await app.graphql('{ __typename }', {}, { key: next })).status).toBe(401);
    expect((await app.graphql('{ __typename }')).status).toBe(200);
    expect((await app.graphql('{ __typename }', {}, { key })).status).toBe(200);
    expect((await list()).filter((one: { configured: boolean }) => one.configured)).toHaveLength(1);
  });
});

describe('an admin whose key reaches a part only', () => {
  let limited: string;
  beforeAll(async () => {
    limited = (
      await create({ name: 'Limited', role: 'ADMIN', connections: [connection], bases: ['appABC123'] })
    ).key;
  });

  test('makes keys for that part only', async () => {
    const within = { name: 'Within', role: 'ADMIN', connections: [connection], bases: ['appABC123'] };
    expect((await create(within, limited)).__typename).toBe('CreateApiKeySuccess');
    expect((await create({ ...within, connections: null }, limited)).faults[0].path).toEqual(['connections']);
    expect((await create({ ...within, bases: null }, limited)).faults[0].path).toEqual(['bases']);
    expect((await create({ ...within, bases: ['appABC123', 'appOTHER'] }, limited)).faults[0].path).toEqual([
      'bases',
    ]);
    const [elsewhere, nowhere] = [
      await create({ ...within, connections: [other] }, limited),
      await create({ ...within, connections: [424242] }, limited),
    ];
    expect(elsewhere.code).toBe('CONNECTION_NOT_FOUND');
    expect(elsewhere.message.replace(String(other), '')).toBe(nowhere.message.replace('424242', ''));
  });

  test('neither sees nor revokes the others', async () => {
    const wide = await create({ name: 'Wide', role: 'VIEWER' });
    expect((await list(limited)).map(({ name }: { name: string }) => name).sort()).toEqual(
      ['Limited', 'Website', 'Within'].sort(),
    );
    const [hidden, missing] = [await revoke(wide.apiKey.id, limited), await revoke(424242, limited)];
    expect(hidden.__typename).toBe('ApiKeyNotFoundError');
    expect(hidden.message.replace(String(wide.apiKey.id), '')).toBe(missing.message.replace('424242', ''));
    expect((await app.graphql('{ __typename }', {}, { key: wide.key })).status).toBe(200);
  });
});

test('when a key was last used is kept, and written once a minute at most', async () => {
  const { key, apiKey } = await create({ name: 'Used', role: 'VIEWER' });
  const lastUse = async () =>
    (await app.database.query('SELECT last_used_at AS used FROM api_keys WHERE id = $1', [apiKey.id]))[0]!
      .used as Date | null;
  const use = () => app.graphql('{ __typename }', {}, { key });
  expect(await lastUse()).toBeNull();
  await Promise.all([use(), use(), use()]);
  let first = await lastUse();
  while (first === null) first = await lastUse();
  // Any write that was under way has come through when later ones of the same process have.
  await use();
  const setTo = async (ago: string) => {
    const [row] = await app.database.query(
      `UPDATE api_keys SET last_used_at = now() - $2::interval WHERE id = $1 RETURNING last_used_at AS used`,
      [apiKey.id, ago],
    );
    return row!.used as Date;
  };
  const fresh = await setTo('50 seconds');
  await use();
  await use();
  expect(await lastUse()).toEqual(fresh);
  const old = await setTo('61 seconds');
  // A key that was looked up a moment ago is believed for a second.
  do await use();
  while ((await lastUse())!.getTime() === old.getTime());
  const shown = (await list()).find(({ id }: { id: number }) => id === apiKey.id).lastUsedAt;
  expect(new Date(shown).getTime()).toBeGreaterThan(fresh.getTime());
});

test('a server holds 1,000 living keys; ended ones make room and are forgotten in the end', async () => {
  const [{ living }] = (await app.database.query(
    'SELECT count(*)::integer AS living FROM api_keys WHERE revoked_at IS NULL',
  )) as [{ living: number }];
  await app.database.query(
    `INSERT INTO api_keys (name, role, key_hash) SELECT 'Filler', 'viewer', sha256(convert_to(n::text, 'UTF8')) FROM generate_series(1, $1) n`,
    [1_000 - living],
  );
  expect((await create({ name: 'One too many', role: 'VIEWER' })).extensions).toMatchObject({
    code: 'TOO_MANY',
    max: 1_000,
  });
  await app.database.query(
    `UPDATE api_keys SET expires_at = now() - interval '91 days' WHERE name = 'Filler'`,
  );
  expect((await create({ name: 'Fits again', role: 'VIEWER' })).__typename).toBe('CreateApiKeySuccess');
  expect((await list()).filter(({ name }: { name: string }) => name === 'Filler')).toEqual([]);
});
