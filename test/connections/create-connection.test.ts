import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { startTestApp, type TestApp } from '../support/app.ts';

const createConnection = `
  mutation ($input: CreateConnectionInput!) {
    createConnection(input: $input) {
      __typename
      ... on CreateConnectionSuccess {
        connection { id type name state clientId clientSecret scopes missingScopes availableActions problem { code } account { id } }
      }
      ... on Error { code message }
      ... on InvalidInputError { faults { path message } }
    }
  }`;

const valid = {
  type: 'calendly',
  name: 'Marketing Calendly Workspace',
  clientId: 'calendly_client_xyz789',
  clientSecret: 'secret_calendly_abc123',
};

describe('createConnection', () => {
  let app: TestApp;
  beforeAll(async () => {
    app = await startTestApp();
  });
  afterAll(() => app.close());

  test('CONN-CALENDLY-001 saves valid credentials, and the flow can start', async () => {
    const { data, errors } = await app.graphql(createConnection, { input: valid });
    expect(errors).toBeUndefined();
    const { connection } = data.createConnection;
    expect(connection).toEqual({
      id: expect.any(Number),
      type: 'CALENDLY',
      name: valid.name,
      state: 'CONFIGURED',
      clientId: valid.clientId,
      clientSecret: '***',
      scopes: [],
      missingScopes: [],
      availableActions: ['CONNECT'],
      problem: null,
      account: null,
    });
    const begun = await app.graphql(
      `mutation ($id: Int!) { connectConnection(input: { connection: $id }) { ... on ConnectConnectionSuccess { authorizationUrl } } }`,
      { id: connection.id },
    );
    expect(begun.data.connectConnection.authorizationUrl).toMatch(
      /^http:\/\/localhost:\d+\/oauth\/calendly\/start\/[\w-]{43}$/,
    );
  });

  test('the client secret is sealed in the database', async () => {
    const rows = await app.database.query('SELECT client_secret FROM connection_secrets');
    expect(rows.length).toBeGreaterThan(0);
    for (const row of rows) expect(row['client_secret']).toMatch(/^v1\.test\./);
  });

  test('CONN-CALENDLY-002 refuses invalid credentials with a clear error about the credentials', async () => {
    const before = await app.database.query('SELECT count(*) FROM connections');
    const { data } = await app.graphql(createConnection, {
      input: { ...valid, clientId: '', clientSecret: '' },
    });
    expect(data.createConnection).toMatchObject({
      __typename: 'InvalidInputError',
      code: 'INVALID_INPUT',
      faults: [
        { path: ['clientId'], message: 'Client ID must be at least 1 character' },
        { path: ['clientSecret'], message: 'Client secret is required and cannot be empty' },
      ],
    });
    expect(await app.database.query('SELECT count(*) FROM connections')).toEqual(before);
  });

  test.each([
    [{ ...valid, type: 'airtable' }, 'type', "Type must be exactly 'calendly'"],
    [{ ...valid, type: undefined }, 'type', "Type must be exactly 'calendly'"],
    [{ ...valid, name: '' }, 'name', 'Connection name must be at least 1 character'],
    [{ ...valid, name: ' \t\n' }, 'name', 'Connection name must be at least 1 character'],
    [{ ...valid, name: undefined }, 'name', 'Connection name must be at least 1 character'],
    [{ ...valid, name: null }, 'name', 'Connection name must be at least 1 character'],
    [{ ...valid, name: 'x'.repeat(101) }, 'name', 'Connection name must not exceed 100 characters'],
    [{ ...valid, name: 'x\ud83d' }, 'name', 'Connection name must consist of whole characters'],
    [{ ...valid, clientId: '' }, 'clientId', 'Client ID must be at least 1 character'],
    [{ ...valid, clientId: undefined }, 'clientId', 'Client ID must be at least 1 character'],
    [{ ...valid, clientSecret: '' }, 'clientSecret', 'Client secret is required and cannot be empty'],
    [{ ...valid, clientSecret: undefined }, 'clientSecret', 'Client secret is required and cannot be empty'],
    [{ ...valid, clientSecret: '***' }, 'clientSecret', 'Client secret is required and cannot be empty'],
  ])('%j is refused with a clear message at %s', async (input, field, message) => {
    const before = await app.database.query('SELECT count(*) FROM connections');
    const { data } = await app.graphql(createConnection, { input });
    expect(data.createConnection).toEqual({
      __typename: 'InvalidInputError',
      code: 'INVALID_INPUT',
      message,
      faults: [{ path: [field], message }],
    });
    expect(await app.database.query('SELECT count(*) FROM connections')).toEqual(before);
  });

  test('all faults are told at once', async () => {
    const { data } = await app.graphql(createConnection, { input: {} });
    expect(data.createConnection.faults.map((fault: { path: string[] }) => fault.path[0])).toEqual([
      'type',
      'name',
      'clientId',
      'clientSecret',
    ]);
  });

  test('a name is counted as people count: a hundred emoji fit', async () => {
    const name = '👩‍👩‍👧'.repeat(100);
    const { data } = await app.graphql(createConnection, { input: { ...valid, name } });
    expect(data.createConnection.connection.name).toBe(name);
  });

  test('a name that is taken is named', async () => {
    await app.graphql(createConnection, { input: { ...valid, name: 'Twice' } });
    const { data } = await app.graphql(createConnection, { input: { ...valid, name: 'Twice' } });
    expect(data.createConnection).toMatchObject({
      __typename: 'NameTakenError',
      code: 'NAME_TAKEN',
      message: expect.stringContaining('"Twice"'),
    });
  });

  test('a server that holds 999 takes one more, however many come at once', async () => {
    await app.database.query(
      `INSERT INTO connections (type, name, client_id, state, requested_scopes)
       SELECT 'calendly', 'Crowd ' || n, 'c', 'configured', '{}' FROM generate_series((SELECT count(*) FROM connections), 998) AS n`,
    );
    const answers = await Promise.all(
      [1, 2, 3, 4, 5].map((n) =>
        app.graphql(createConnection, { input: { ...valid, name: `Last but ${n}` } }),
      ),
    );
    const codes = answers.map(({ errors }) => errors?.[0]?.extensions.code ?? 'created').sort();
    expect(codes).toEqual(['TOO_MANY', 'TOO_MANY', 'TOO_MANY', 'TOO_MANY', 'created']);
  });
});
