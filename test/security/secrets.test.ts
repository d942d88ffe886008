import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { ServerProcess } from '../local/server-process.ts';
import { authorizationUrl, control, startTestApp, walkFlow, type TestApp } from '../support/app.ts';
import { TEST_CLIENT } from '../support/sandbox-grant.ts';
import { TestSubscription } from '../support/subscription.ts';

/*
 * Walks the whole life of a connection, then looks for every secret that was involved in everything that left the
 * server or stayed in its database: logs at debug level, answers and events, metrics, every row of every table, the
 * arguments of the process.
 */

interface Secret {
  kind: string;
  value: string;
}

/** Each way in which a secret might have been written down. */
function spellings({ value }: Secret): [string, string][] {
  const bytes = Buffer.from(value);
  const basic = Buffer.from(`${TEST_CLIENT.clientId}:${value}`);
  const decoded = Buffer.from(value, 'base64');
  return [
    ['as it is', value],
    ['in base64', bytes.toString('base64').replace(/=+$/, '')],
    ['in base64url', bytes.toString('base64url')],
    ['as a Basic header', basic.toString('base64').replace(/=+$/, '')],
    ['URL-encoded', encodeURIComponent(value)],
    ['as a form', new URLSearchParams({ '': value }).toString().slice(1)],
    ['in JSON', JSON.stringify(value).slice(1, -1)],
    [
      'in JSON, all ASCII',
      JSON.stringify(value)
        .slice(1, -1)
        .replace(/[^\x20-\x7e]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`),
    ],
    ['in hexadecimal', bytes.toString('hex')],
    ...(decoded.length >= 16
      ? ([['decoded, in hexadecimal', decoded.toString('hex')]] as [string, string][])
      : []),
  ];
}

/** What was found, one line each, without the secret itself. */
function search(places: Record<string, string>, secrets: Secret[]): string[] {
  const found: string[] = [];
  for (const [place, text] of Object.entries(places)) {
    for (const secret of secrets) {
      for (const [how, spelling] of spellings(secret))
        if (text.includes(spelling)) found.push(`${secret.kind} ${how} in ${place}`);
    }
  }
  return found;
}

let app: TestApp;
/** Everything that our server said over HTTP: status line, headers and body. */
let answers = '';
const realFetch = globalThis.fetch;

beforeAll(async () => {
  app = await startTestApp({ config: { encryptionKeys: [{ id: 'test', key: randomBytes(32) }] } });
  globalThis.fetch = async (input, init) => {
    const response = await realFetch(input, init);
    const address = input instanceof Request ? input.url : String(input);
    if (address.startsWith(app.url)) {
      const headers = [...response.headers].map(([name, value]) => `${name}: ${value}`).join('\n');
      answers += `\n${response.status} ${response.statusText}\n${headers}\n\n${await response.clone().text()}`;
    }
    return response;
  };
});
afterAll(async () => {
  globalThis.fetch = realFetch;
  await app.close();
});

async function databaseDump(): Promise<string> {
  const tables = await app.database.query(
    `SELECT format('%I.%I', table_schema, table_name) AS name FROM information_schema.tables WHERE table_schema NOT IN ('pg_catalog', 'information_schema') AND table_type = 'BASE TABLE'`,
  );
  let dump = '';
  for (const { name } of tables) {
    // Text as it is, bytes in hexadecimal, JSON as JSON; and the whole row once more in PostgreSQL's own form.
    const rows = await app.database.query(
      `SELECT t::text AS row, (SELECT string_agg(value, E'\\n') FROM jsonb_each_text(to_jsonb(t))) AS cells FROM ${String(name)} t`,
    );
    dump += `\n${String(name)}\n${rows.map(({ row, cells }) => `${String(row)}\n${String(cells)}`).join('\n')}`;
  }
  return dump;
}

const places = async () => {
  await fetch(`${app.url}/metrics`).then((response) => response.text());
  const database = await databaseDump();
  return { logs: app.logs.text, answers, database };
};

/** What anybody on the machine sees in the list of processes: the arguments of a server started by itself. */
async function serverArguments(encryptionKey: Buffer): Promise<string> {
  const server = ServerProcess.compiled({
    DATABASE_URL: app.database.url,
    PORT: '0',
    CALENDLY_API_URL: app.sandbox.url,
    CALENDLY_OAUTH_URL: app.sandbox.url,
    ENCRYPTION_KEYS: `test:${encryptionKey.toString('base64')}`,
    ADMIN_API_KEY: app.adminKey,
  });
  await server.written(/Endpoint +(http\S+)/);
  const text = await readFile(`/proc/${server.pid}/cmdline`, 'utf8');
  expect(await server.ended('SIGTERM')).toBe(0);
  return text.replaceAll('\0', ' ');
}

/** Holds everything that OAuth allows and some encoding changes. */
const oddSecret = 'odd secret "quoted" \\ & +/=?:%20 <end>';

test('finds a secret that was planted on purpose, in each place and spelling', async () => {
  const planted: Secret = { kind: 'planted', value: 'plänted "secret" & +/= \\ 🔑 of some length' };
  for (const [how, spelling] of spellings(planted)) {
    expect(search(await places(), [planted])).toEqual([]);
    // Logs escape text for JSON, so what is JSON already is planted as it would be written.
    if (how.startsWith('in JSON')) app.logs.text += spelling;
    else app.app.logger.debug(`planted ${spelling}`);
    // A page of ours that repeats what was asked for, such as a 404, is where it would stand in an answer.
    answers += spelling;
    await app.database.query(
      `INSERT INTO api_keys (name, role, key_hash) VALUES ($1, 'viewer', convert_to($1, 'UTF8'))`,
      [spelling],
    );
    const found = search(await places(), [planted]);
    for (const place of ['logs', 'answers', 'database'])
      expect({ how, place, found: found.some((line) => line.endsWith(`in ${place}`)) }).toEqual({
        how,
        place,
        found: true,
      });
    app.logs.text = '';
    answers = '';
    await app.database.query(`DELETE FROM api_keys WHERE name = $1`, [spelling]);
  }
  await fetch(`${app.url}/nothing-planted-here`);
  expect(search({ answers }, [{ kind: 'path', value: 'nothing-planted-here' }])).toContain(
    'path as it is in answers',
  );
});

test('no secret leaves the server or stands open in the database, from the first step of a connection to its last', async () => {
  const explorerCode = await app.app.explorerCodes.issue();
  // By design the one answer that holds a key; it is not recorded.
  const explorer = await realFetch(`${app.url}/explorer/key`, {
    method: 'POST',
    body: JSON.stringify({ code: explorerCode }),
  });
  const { key: explorerKey } = (await explorer.json()) as { key: string };
  expect((await app.graphql('{ __typename }', {}, { key: explorerKey })).status).toBe(200);

  // A connection that works …
  const id = await app.connect({ name: 'Walked' });
  const records = `query ($id: Int!) { connection(id: $id) { ... on CalendlyConnection { clientSecret account { id } } }
    base(connection: $id, baseId: "appABC123") { name table(id: "tblDEF456") { records(first: 3) { nodes { id fields } } } } }`;
  const read = await app.graphql(records, { id });
  expect(read.errors).toBeUndefined();
  expect(read.data.connection.clientSecret).toBe('***');

  // … is listened to and written through …
  const subscription = new TestSubscription<{ __typename: string }>(
    app.url,
    app.adminKey,
    'subscription ($id: Int!) { recordChanges(connection: $id, baseId: "appABC123") { __typename ... on RecordChange { recordId fields { current } record { fields } } } }',
    { id },
  );
  await subscription.until(({ __typename }) => __typename === 'FeedPosition');
  const recordId: string = read.data.base.table.records.nodes[0].id;
  const written = await app.graphql(
    `mutation ($input: UpdateRecordsInput!) { updateRecords(input: $input) { ... on UpdateRecordsSuccess { written } ... on Error { message } } }`,
    {
      input: {
        connection: id,
        baseId: 'appABC123',
        tableId: 'tblDEF456',
        records: [{ id: recordId, fields: { Name: 'Walked by' } }],
      },
    },
  );
  expect(written.data.updateRecords).toEqual({ written: 1 });
  await subscription.until(({ __typename }) => __typename === 'RecordChange', 20_000);
  answers += JSON.stringify(subscription.events);

  // … is refreshed, which the upstream at first answers badly, quoting what it was sent …
  const before: Secret[] = (await control(app.sandbox.url, 'issued')).issued;
  const quoted = before
    .filter(({ kind }) => kind === 'refreshToken' || kind === 'accessToken')
    .map(({ value }) => value);
  const expire = () =>
    app.database.query(
      `UPDATE connections SET access_token_expires_at = now() - interval '1 minute' WHERE id = $1`,
      [id],
    );
  for (const status of [500, 503]) {
    await control(app.sandbox.url, 'faults', {
      match: { method: 'POST', path: '/oauth2/v1/token' },
      times: 1,
      kind: 'status',
      status,
      body: JSON.stringify({
        error: 'server_error',
        error_description: `Got ${quoted.join(' ')} from ${TEST_CLIENT.clientSecret}`,
      }),
    });
    await expire();
    await app.graphql(records, { id });
  }

  // … loses its grant and gets a new one, and is given up.
  await control(app.sandbox.url, 'faults', {
    match: { method: 'POST', path: '/oauth2/v1/token' },
    times: 1,
    kind: 'status',
    status: 400,
    body: JSON.stringify({
      error: 'invalid_grant',
      error_description: `Unknown refresh token ${quoted.join(' ')}`,
    }),
  });
  await expire();
  expect((await app.graphql(records, { id })).errors?.[0]?.extensions.code).toBe('CONNECTION_NOT_CONNECTED');
  await walkFlow(await authorizationUrl(app.graphql, id));
  const ended = await app.graphql(
    'mutation ($id: Int!) { disconnectConnection(input: { connection: $id }) { ... on DisconnectConnectionSuccess { tokensRevoked } ... on Error { message } } }',
    { id },
  );
  expect(ended.data.disconnectConnection).toEqual({ tokensRevoked: true });
  await subscription.close();

  // Another is made with a wrong secret full of odd characters, and with faults in its input.
  const create = (input: object) =>
    app.graphql(
      'mutation ($input: CreateConnectionInput!) { createConnection(input: $input) { ... on CreateConnectionSuccess { connection { id } } ... on Error { message } } }',
      { input },
    );
  const odd = { type: 'calendly', name: 'Odd', clientId: TEST_CLIENT.clientId, clientSecret: oddSecret };
  await create({ ...odd, type: 'nonsense' });
  await create({ ...odd, unknown: true });
  await create({ ...odd, scopes: 'NONSENSE' });
  const wrong = await create(odd);
  const page = await walkFlow(await authorizationUrl(app.graphql, wrong.data.createConnection.connection.id));
  expect(page.text).toContain('INVALID_CLIENT');
  await create(odd);
  await app.graphql('{ __typename }', {}, { key: 'a_wrong_key_that_somebody_mistyped' });

  const issued: Secret[] = (await control(app.sandbox.url, 'issued')).issued;
  const kinds = new Set(issued.map(({ kind }) => kind));
  for (const kind of [
    'authorizationCode',
    'accessToken',
    'refreshToken',
    'webhookMacSecret',
    'clientSecret',
    'codeVerifier',
  ])
    expect(kinds).toContain(kind);
  const [encryptionKey] = app.app.config.encryptionKeys;
  const secrets: Secret[] = [
    // The challenge is what a browser carries to the service, so it is public by design.
    ...issued.filter(({ kind }) => kind !== 'codeChallenge'),
    { kind: 'odd client secret', value: oddSecret },
    { kind: 'admin key', value: app.adminKey },
    { kind: 'explorer key', value: explorerKey },
    { kind: 'explorer code', value: explorerCode },
    { kind: 'mistyped key', value: 'a_wrong_key_that_somebody_mistyped' },
    { kind: 'encryption key', value: encryptionKey!.key.toString('base64') },
  ];
  expect(app.logs.text.length).toBeGreaterThan(500);
  const searched: Record<string, string> = await places();
  if (existsSync('/proc/self/cmdline')) {
    searched['arguments'] = await serverArguments(encryptionKey!.key);
    expect(searched['arguments']).toContain('/main.');
  }
  expect(answers).toContain('process_cpu_seconds_total');
  expect(search(searched, secrets)).toEqual([]);
}, 60_000);
