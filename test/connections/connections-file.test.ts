import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ConfigError, type ConnectionsFileSetting } from '../../src/config.ts';
import { readConnectionsFile } from '../../src/connections/connections-file.ts';
import { control, startTestApp, type TestApp } from '../support/app.ts';
import { TEST_CLIENT } from '../support/sandbox-grant.ts';
import { create, deny, grant, read, run, storedSecrets } from './lifecycle.ts';

const secret = 'planted_secret_of_the_file_4711';
const environment: Record<string, string> = {
  CALENDLY_CLIENT_SECRET: TEST_CLIENT.clientSecret,
  PLANTED_SECRET: secret,
  STAGE: 'staging',
  EMPTY: '',
};

const entry = (id: number, name: string, more: object = {}) => ({
  type: 'calendly',
  id,
  name,
  clientId: TEST_CLIENT.clientId,
  clientSecret: '${CALENDLY_CLIENT_SECRET}',
  ...more,
});

let folder: string;
let setting: ConnectionsFileSetting;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'connections-file-'));
  setting = { path: join(folder, 'connections.json'), variable: (name) => environment[name] };
});
afterAll(() => rm(folder, { recursive: true }));

const write = (content: unknown) =>
  writeFile(setting.path, typeof content === 'string' ? content : JSON.stringify(content));

async function faultsOf(work: Promise<unknown>): Promise<string[]> {
  const error = await work.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(ConfigError);
  const { faults, message } = error as ConfigError;
  expect(message).toContain(setting.path);
  for (const fault of faults) expect(message).toContain(fault);
  return faults;
}

describe('reading the connections file', () => {
  const faultsIn = async (content: unknown) => {
    await write(content);
    return faultsOf(readConnectionsFile(setting));
  };

  test('one connection, or a list of them, in the form of the product', async () => {
    await write(entry(1, 'Alone'));
    expect((await readConnectionsFile(setting)).connections).toMatchObject([
      { id: 1, name: 'Alone', place: '' },
    ]);
    await write([entry(1, 'First', { scopes: 'READ_ONLY', withEmail: true }), entry(2, 'Second')]);
    expect((await readConnectionsFile(setting)).connections).toMatchObject([
      { id: 1, requestedScopes: ['data.records:read', 'schema.bases:read', 'user.email:read'] },
      { id: 2, requestedScopes: expect.arrayContaining(['webhook:manage']) },
    ]);
    await write('\uFEFF[]');
    expect((await readConnectionsFile(setting)).connections).toEqual([]);
  });

  test('the example of the repository is read as it is', async () => {
    await write(await readFile(new URL('../../connections.example.json', import.meta.url), 'utf8'));
    const { connections } = await readConnectionsFile(setting);
    expect(connections.map(({ id }) => id)).toEqual([1, 2]);
    for (const { clientId, clientSecret } of connections)
      expect({ clientId, clientSecret }).toEqual(TEST_CLIENT);
  });

  test('all faults are told at once, each with its place, in the words of the API', async () => {
    const faults = await faultsIn([
      entry(1, 'Good'),
      { type: 'airtable', id: 0, name: ' ', clientId: '', clientSecret: '' },
      { clientid: 'x', colour: 'blue' },
      'text',
      entry(1, 'Good', { scopes: 'ALL', withEmail: 'yes' }),
      entry(2_147_483_648, 'x'.repeat(101), { clientSecret: '***' }),
    ]);
    expect(faults).toEqual([
      "[1].type: Type must be exactly 'calendly'",
      '[1].id: ID must be a positive integer',
      '[1].name: Connection name must be at least 1 character',
      '[1].clientId: Client ID must be at least 1 character',
      '[1].clientSecret: Client secret is required and cannot be empty',
      "[2].type: Type must be exactly 'calendly'",
      '[2].id: ID must be a positive integer',
      '[2].name: Connection name must be at least 1 character',
      '[2].clientId: Client ID must be at least 1 character',
      '[2].clientSecret: Client secret is required and cannot be empty',
      '[2].clientid: There is no such key. Did you mean "clientId"?',
      '[2].colour: There is no such key. Known are type, id, name, clientId, clientSecret, scopes, withEmail',
      '[3]: Must be an object with the keys of a connection',
      '[4].scopes: Scopes must be one of READ_ONLY, READ_WRITE, WITH_WEBHOOKS',
      '[4].withEmail: withEmail must be true or false',
      '[5].id: ID must be a positive integer',
      '[5].name: Connection name must not exceed 100 characters',
      '[5].clientSecret: Client secret is required and cannot be empty',
    ]);
    expect(await faultsIn({ ...entry(1, 'Alone'), clientSecret: '' })).toEqual([
      'clientSecret: Client secret is required and cannot be empty',
    ]);
  });

  test('an ID or a name that stands twice is told with both places', async () => {
    expect(await faultsIn([entry(1, 'Same'), entry(2, 'Other'), entry(1, 'Same')])).toEqual([
      '[2].id: [0] has the same ID. Give each its own',
      '[2].name: [0] has the same name. Give each its own',
    ]);
  });

  test('variables stand anywhere in a text; one that is missing or empty is named, and no value is', async () => {
    await write(entry(1, 'CRM ${STAGE}, costs $${5} $ 5', { clientSecret: '${PLANTED_SECRET}' }));
    expect((await readConnectionsFile(setting)).connections).toMatchObject([
      { name: 'CRM staging, costs ${5} $ 5', clientSecret: secret },
    ]);
    const faults = await faultsIn([
      entry(1, '${MISSING} and ${EMPTY}'),
      entry(2, 'Open ${'),
      entry(3, 'Odd ${my-var}', { clientId: '${PLANTED_SECRET}:x', scopes: '${PLANTED_SECRET}' }),
    ]);
    expect(faults).toEqual([
      '[0].name: The environment variable MISSING is not set',
      '[0].name: The environment variable EMPTY is not set',
      '[1].name: Has ${ without }. Write $${ for the characters themselves',
      '[2].name: Has ${…} without the name of a variable. Write $${ for the characters themselves',
      '[2].clientId: Client ID must consist of printable ASCII characters, without a colon',
      '[2].scopes: Scopes must be one of READ_ONLY, READ_WRITE, WITH_WEBHOOKS',
    ]);
  });

  test.each([
    ['{"a": 1,}', 'line 1, column 9: This is not JSON. Expected a key in double quotes'],
    [
      '[\n  {"name": planted_secret}\n]',
      'line 2, column 12: This is not JSON. Expected a value, text in double quotes',
    ],
    ['[{"a": "b" "c": 1}]', 'line 1, column 12: This is not JSON. Expected a comma or }'],
    ['[1, 2', 'line 1, column 6: This is not JSON. Expected a comma or ]'],
    ['{"a" 1}', 'line 1, column 6: This is not JSON. Expected a colon'],
    ['[]\n[]', 'line 2, column 1: This is not JSON. Expected the end of the file'],
    ['', 'line 1, column 1: This is not JSON. Expected a value, text in double quotes'],
    ['// planted_secret', 'line 1, column 1: This is not JSON. Expected a value, text in double quotes'],
    [
      '{"a": "planted\nsecret"}',
      'line 1, column 7: This is not JSON. Expected a value, text in double quotes',
    ],
    [
      '{"id": 1,\n "\\u0069d": 2}',
      'line 2, column 2: This is not JSON. Expected another key: this one stands here twice',
    ],
  ])('%j is told by line and column, without what stands there', async (text, fault) => {
    expect(await faultsIn(text)).toEqual([fault]);
  });

  test('a file that is not there, a folder, one that is too large, and one that is not UTF-8 are told', async () => {
    const at = (path: string) =>
      faultsOf(readConnectionsFile({ ...setting, path: `${setting.path}${path}` }));
    expect(await at('.none')).toEqual(['There is no such file. Correct CONNECTIONS_FILE, or unset it']);
    expect(await at('/..')).toEqual([expect.stringMatching(/folder|can not be read/)]);
    expect(await faultsIn(`[${' '.repeat(1_000_000)}]`)).toEqual([
      'It is larger than 1000000 bytes, which is the most that is read',
    ]);
    await writeFile(setting.path, Buffer.from([0x22, 0xff, 0x22]));
    expect(await faultsOf(readConnectionsFile(setting))).toEqual([
      'It is not UTF-8. Save it in that encoding',
    ]);
    expect(await faultsIn(Array.from({ length: 1_001 }, () => 0))).toEqual([
      'It holds 1001 connections, and a server at most 1000. Delete some',
    ]);
    // As large as may be, and deep: neither the search for faults nor the parser may give up.
    expect(await faultsIn(`{"type": "${'a'.repeat(990_000)}"}`)).toContain(
      "type: Type must be exactly 'calendly'",
    );
    expect(await faultsIn('['.repeat(900_000))).toEqual([expect.stringContaining('line 1, column 900001')]);
  });
});

describe('applying the connections file', () => {
  let app: TestApp;
  beforeAll(async () => {
    await write([]);
    app = await startTestApp({ config: { connectionsFile: setting } });
  });
  afterAll(() => app.close());
  beforeEach(() => app.database.query('DELETE FROM connections'));

  /** Starts an instance with another file, and stops it again. */
  async function apply(content: unknown): Promise<void> {
    await write(content);
    await (await app.another()).close();
  }
  const rows = () => app.database.query('SELECT * FROM connections ORDER BY id');
  const managed = async (id: number) =>
    (
      await app.graphql(
        'query ($id: Int!) { connection(id: $id) { name managedByFile state availableActions } }',
        {
          id,
        },
      )
    ).data.connection;
  const upstream = async () => ({
    grants: (await control(app.sandbox.url, 'grants')).grants.length as number,
    revocations: ((await control(app.sandbox.url, 'calls')).byEndpoint.revoke ?? 0) as number,
  });

  test('connections are made with their IDs and can be granted access; the API changes and deletes none of them', async () => {
    await apply([entry(7, 'From the file'), entry(3, 'Another')]);
    expect(await managed(7)).toEqual({
      name: 'From the file',
      managedByFile: true,
      state: 'CONFIGURED',
      availableActions: ['CONNECT'],
    });
    await grant(app, 7);
    expect((await run(app, 'testConnection', 7)).works).toBe(true);
    expect((await run(app, 'rotateTokens', 7)).__typename).toBe('RotateTokensSuccess');
    for (const mutation of ['updateConnection', 'deleteConnection'] as const) {
      expect(await run(app, mutation, 7)).toEqual({
        __typename: 'ConnectionManagedError',
        code: 'CONNECTION_MANAGED',
        message: expect.stringMatching(
          /^Connection 7 is managed by the file that CONNECTIONS_FILE names\. .*restart/,
        ),
      });
    }
    expect((await run(app, 'disconnectConnection', 7)).connection.state).toBe('DISCONNECTED');
    await deny(app, 7);
    expect((await managed(7)).availableActions).toEqual(['RECONNECT', 'DISCONNECT']);
  });

  test('what the file leaves as it is, a start leaves to the last column, however many start at once', async () => {
    const file = [entry(1, 'One'), entry(2, 'Two', { scopes: 'READ_ONLY' })];
    await write(file);
    const instances = await Promise.all([app.another(), app.another(), app.another()]);
    await Promise.all(instances.map((instance) => instance.close()));
    await grant(app, 1);
    const before = [await rows(), await storedSecrets(app, 1), await storedSecrets(app, 2), await upstream()];
    await Promise.all([apply(file), apply(file)]);
    expect([
      await rows(),
      await storedSecrets(app, 1),
      await storedSecrets(app, 2),
      await upstream(),
    ]).toEqual(before);
    const made = await app.database.query(
      `SELECT connection_id FROM audit_entries WHERE actor_id = 'connections-file' AND action = 'createConnection' AND connection_id < 3`,
    );
    expect(made.map((row) => row['connection_id'])).toEqual([1, 2]);
  });

  test('another name and other scopes leave the grant alone', async () => {
    await apply(entry(1, 'Before', { scopes: 'READ_ONLY' }));
    await grant(app, 1);
    await apply(entry(1, 'After', { scopes: 'READ_WRITE' }));
    expect(await read(app, 1)).toMatchObject({
      name: 'After',
      state: 'CONNECTED',
      missingScopes: ['data.records:write'],
    });
    expect((await run(app, 'testConnection', 1)).works).toBe(true);
  });

  test('two connections of the file can exchange their names, and a third can take one that has become free', async () => {
    await apply([entry(1, 'Left'), entry(2, 'Right')]);
    await apply([entry(1, 'Right'), entry(2, 'Left')]);
    expect((await rows()).map(({ name }) => name)).toEqual(['Right', 'Left']);
    await apply([entry(1, 'New'), entry(2, 'Left'), entry(3, 'Right')]);
    expect((await rows()).map(({ name }) => name)).toEqual(['New', 'Left', 'Right']);
  });

  test('another secret ends the grant once, though three instances start with it at once', async () => {
    await apply([entry(1, 'Changed'), entry(2, 'Unchanged')]);
    await grant(app, 1);
    await grant(app, 2);
    const before = await upstream();
    const file = [entry(1, 'Changed', { clientSecret: '${PLANTED_SECRET}' }), entry(2, 'Unchanged')];
    await write(file);
    const instances = await Promise.all([app.another(), app.another(), app.another()]);
    await Promise.all(instances.map((instance) => instance.close()));
    // The pair is revoked by one call for each of its tokens.
    expect(await upstream()).toEqual({ grants: before.grants - 1, revocations: before.revocations + 2 });
    expect(await managed(1)).toMatchObject({ state: 'CONFIGURED', managedByFile: true });
    expect((await managed(2)).state).toBe('CONNECTED');
    expect(await storedSecrets(app, 1)).toMatchObject({ access_token: null, refresh_token: null });
    await expect(grant(app, 1)).rejects.toThrow('INVALID_CLIENT');
    await apply([entry(1, 'Changed'), entry(2, 'Unchanged')]);
    await grant(app, 1);
  });

  test('an ID or a name that others have is told with theirs, with all else, and nothing is applied', async () => {
    const id = await create(app, 'Made by API');
    const other = await create(app, 'Also by API');
    await apply([entry(id + 10, 'Managed')]);
    const before = await rows();
    await write([
      entry(id, 'Taken ID'),
      entry(id + 10, 'Renamed'),
      entry(id + 11, 'Also by API'),
      entry(id + 12, 'New'),
    ]);
    expect(await faultsOf(app.another())).toEqual([
      `[0].id: Connection ${id} ("Made by API") was made through the API. Give this one another ID, or delete that one first`,
      `[2].name: Connection ${other} has this name. Choose another name, or rename that one first`,
    ]);
    expect(await rows()).toEqual(before);
  });

  test('more connections than a server may hold are refused together with those that are there', async () => {
    await create(app, 'One of the API');
    await write(Array.from({ length: 1_000 }, (_, index) => entry(index + 5_000, `Many ${index}`)));
    expect(await faultsOf(app.another())).toEqual([
      'With it the server would hold 1001 connections, and its limit is 1000. Delete some that are no longer used',
    ]);
    expect(await rows()).toHaveLength(1);
  });

  test('numbers given by the API go on after the highest of the file, and never back', async () => {
    const first = await create(app, 'First of the API');
    await apply([entry(first + 100, 'Far')]);
    expect(await create(app, 'After the file')).toBe(first + 101);
    await apply([entry(first + 50, 'Near')]);
    expect(await create(app, 'Still after')).toBe(first + 102);
    await apply([entry(2_147_483_647, 'Last')]);
    const { errors } = await app.graphql(
      `mutation ($input: CreateConnectionInput!) { createConnection(input: $input) { __typename } }`,
      { input: { type: 'calendly', name: 'None left', ...TEST_CLIENT } },
    );
    expect(errors).toMatchObject([
      { message: expect.stringMatching(/^No number is left/), extensions: { code: 'TOO_MANY' } },
    ]);
    // What follows in this file needs numbers again; no server ever moves them back.
    await app.database.query(`SELECT setval('connections_id_seq', 1000)`);
  });

  test('a connection that the file no longer names stays with its grant, for the API; the file may take it up again', async () => {
    await apply([entry(1, 'Let go'), entry(2, 'Kept')]);
    await grant(app, 1);
    await apply([entry(2, 'Kept')]);
    expect(await managed(1)).toMatchObject({ managedByFile: false, state: 'CONNECTED' });
    expect(await managed(2)).toMatchObject({ managedByFile: true });
    expect((await run(app, 'testConnection', 1)).works).toBe(true);
    expect((await run(app, 'updateConnection', 1, { name: 'By hand' })).connection.name).toBe('By hand');
    await apply([entry(1, 'Let go'), entry(2, 'Kept')]);
    expect(await managed(1)).toMatchObject({ name: 'Let go', managedByFile: true, state: 'CONNECTED' });
    const told = await app.database.query(
      `SELECT details FROM audit_entries WHERE actor_id = 'connections-file' AND connection_id = 1 AND details ? 'managedByFile'
       ORDER BY id DESC LIMIT 1`,
    );
    expect(told).toEqual([{ details: { managedByFile: false } }]);
  });

  test('a client secret that can not be decrypted any more is replaced by the one of the file', async () => {
    await apply(entry(1, 'Unreadable'));
    await app.database.query(`UPDATE connection_secrets SET client_secret = 'v1.gone.AAAA.AAAA'`);
    await apply(entry(1, 'Unreadable'));
    await grant(app, 1);
  });

  test('secrets of variables are in no log and no audit entry', async () => {
    await apply(entry(1, 'Planted', { clientSecret: '${PLANTED_SECRET}' }));
    const other = await app.another();
    await other.close();
    const entries = JSON.stringify(await app.database.query('SELECT * FROM audit_entries'));
    for (const text of [app.logs.text, other.logs.text, entries]) {
      expect(text).not.toContain(secret);
      expect(text).not.toContain(TEST_CLIENT.clientSecret);
    }
    expect(entries).toContain('connections-file');
  });
});
