import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { rotateKeys } from '../../src/commands/rotate-keys.ts';
import { envelopePlaces } from '../../src/encryption/envelope-places.ts';
import { KeyRotation, type UnreadableEnvelope } from '../../src/encryption/key-rotation.ts';
import { readRotationCommand } from '../../src/encryption/rotation-command.ts';
import { SecretCipher } from '../../src/encryption/secret-cipher.ts';
import { startTestApp, type TestApp } from '../support/app.ts';
import { callInProcess, CommandProcess, runCommand } from '../support/command.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { addSealedConnections, allEnvelopes, countUnder } from './sealed-rows.ts';

const older = { id: '2026a', key: randomBytes(32) };
const newer = { id: '2026b', key: randomBytes(32) };
const ring = (...keys: (typeof older)[]) =>
  keys.map(({ id, key }) => `${id}:${key.toString('base64')}`).join(',');
const processTimeoutMs = 120_000;

describe('under load', () => {
  let first: TestApp;
  const instances: TestApp[] = [];
  beforeAll(async () => {
    first = await startTestApp({ config: { encryptionKeys: [older] } });
  });
  afterAll(async () => {
    for (const instance of instances) await instance.close();
    // The first instance itself was closed before the keys rotated.
    await first.sandbox.close();
    await first.database.close();
  });

  test(
    'no request fails while tokens refresh and keys rotate, and the old key can go',
    async () => {
      const ids: number[] = [];
      for (const name of ['Ada', 'Bob', 'Cid']) ids.push(await first.connect({ name }));
      await first.graphql(
        `mutation ($id: Int!) { createWebhook(input: { connection: $id, baseId: "appABC123" }) { ... on Error { message } } }`,
        { id: ids[0] },
      );
      await addSealedConnections(first.database, new SecretCipher([older]), 700);
      const envelopes = await countUnder(first.database, older.id);
      expect(envelopes).toBeGreaterThan(2_100);
      // What the first instance seals is under the old key: it has to have left before the keys rotate.
      await first.server.close();
      await first.app.close();
      const variables = { DATABASE_URL: first.database.url, ENCRYPTION_KEYS: ring(newer, older) };
      for (let count = 0; count < 2; count += 1)
        instances.push(await first.another({ encryptionKeys: [newer, older] }));

      const rotation = callInProcess(rotateKeys, ['--json'], variables);
      let isOver = false;
      void rotation.then(() => (isOver = true));
      const failures: unknown[] = [];
      let reads = 0;
      const ask = async (instance: TestApp, id: number) => {
        const answer = await instance.graphql(
          `query ($id: Int!) { base(connection: $id, baseId: "appABC123") { table(id: "tblDEF456") { records(first: 2) { nodes { id } } } } }`,
          { id },
        );
        reads += 1;
        if (answer.errors || answer.data?.base?.table?.records?.nodes.length !== 2) failures.push(answer);
      };
      const answered = new Set<string>();
      const keepAsking = async (instance: TestApp, id: number) => {
        do {
          await ask(instance, id);
          answered.add(`${instances.indexOf(instance)} ${id}`);
        } while (!isOver);
      };
      // A refresh ends the token before it, and a call is sent again with a newer one only once: so no request sees two.
      const keepExpiring = async () => {
        do {
          answered.clear();
          await first.database.query(
            `UPDATE connections SET access_token_expires_at = now() - interval '1 minute' WHERE state = 'connected'`,
          );
          while (answered.size < instances.length * ids.length && !isOver) await delay(5);
        } while (!isOver);
      };
      await Promise.all([
        keepExpiring(),
        ...instances.flatMap((instance) => ids.map((id) => keepAsking(instance, id))),
      ]);
      const { code, output, notes } = await rotation;
      expect({ code, failures, notes: notes.match(/Not re-encrypted/g) }).toEqual({
        code: 0,
        failures: [],
        notes: null,
      });
      expect(reads).toBeGreaterThan(20);
      const refreshed = await first.database.query(
        'SELECT min(token_generation) AS least FROM connections WHERE id = ANY($1)',
        [ids],
      );
      expect(Number(refreshed[0]?.['least'])).toBeGreaterThan(2);
      const report = JSON.parse(output);
      expect(report).toMatchObject({ sealingKey: newer.id, unreadable: 0, left: 0, otherServers: [] });
      expect(report.resealed).toBeGreaterThan(2_090);
      expect(notes).toContain('secrets re-encrypted');

      // Nothing anywhere names the old key, listed or not.
      expect(await countUnder(first.database, older.id)).toBe(0);
      const tables = await first.database.query(
        `SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE'`,
      );
      for (const { name } of tables)
        expect({
          name,
          rows: await first.database.query(
            `SELECT 1 FROM ${String(name)} t WHERE t::text LIKE '%v1.2026a.%'`,
          ),
        }).toEqual({ name, rows: [] });

      const status = await callInProcess(rotateKeys, ['--status', '--json'], variables);
      expect(JSON.parse(status.output)).toMatchObject({
        sealingKey: newer.id,
        keys: [
          { keyId: newer.id, known: true },
          { keyId: older.id, known: true, secrets: 0, columns: {} },
        ],
        servers: [{ keyId: newer.id, servers: 2 }],
      });
      const last = await first.another({ encryptionKeys: [newer] });
      instances.push(last);
      for (const id of ids) await ask(last, id);
      expect(failures).toEqual([]);
    },
    processTimeoutMs,
  );
});

describe('on a database', () => {
  let database: TestDatabase;
  let variables: Record<string, string>;
  beforeAll(async () => {
    database = await createTestDatabase();
    variables = { DATABASE_URL: database.url, ENCRYPTION_KEYS: ring(newer, older) };
  });
  beforeEach(() => database.query('TRUNCATE connections CASCADE').then(() => undefined));
  afterAll(() => database.close());

  const rotate = (
    query = <Row>(text: string, parameters?: unknown[]) => database.query(text, parameters) as Promise<Row[]>,
  ) => {
    const unreadable: UnreadableEnvelope[] = [];
    const rotation = new KeyRotation({
      query,
      cipher: new SecretCipher([newer, older]),
      watcher: { onProgress: () => undefined, onUnreadable: (envelope) => unreadable.push(envelope) },
    });
    return rotation.run().then((result) => ({ result, unreadable }));
  };

  test(
    'killed in the middle, every secret is whole, and the next run finishes',
    async () => {
      await addSealedConnections(database, new SecretCipher([older]), 1_000);
      await database.query(`
        CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.1); RETURN NULL; END $$;
        CREATE TRIGGER dawdle AFTER UPDATE ON connection_secrets FOR EACH STATEMENT EXECUTE FUNCTION dawdle();`);
      const killed = CommandProcess.compiled('rotate-keys', [], variables);
      while ((await countUnder(database, newer.id)) < 400) await delay(20);
      killed.kill('SIGKILL');
      await killed.ended;
      await database.query('DROP TRIGGER dawdle ON connection_secrets; DROP FUNCTION dawdle');
      const [under, left] = [await countUnder(database, newer.id), await countUnder(database, older.id)];
      expect(under + left).toBe(3_000);
      expect(left).toBeGreaterThan(0);
      const opened = async (...keys: (typeof older)[]) =>
        (await allEnvelopes(database)).filter(
          ({ envelope, ...place }) =>
            new SecretCipher(keys).open(envelope, place) === `${place.column} of ${place.row}`,
        ).length;
      expect(await opened(newer, older)).toBe(3_000);

      const finished = await runCommand('rotate-keys', [], variables);
      expect(finished).toMatchObject({
        code: 0,
        output: expect.stringMatching(
          new RegExp(`^${left} secrets re-encrypted under key 2026b\\.\nNo secret stands`),
        ),
      });
      expect(finished.notes).toMatch(new RegExp(`^${left} of ${left} secrets re-encrypted$`, 'm'));
      expect(await opened(newer)).toBe(3_000);
      const audited = await database.query(
        `SELECT actor_id, target, outcome, details FROM audit_entries WHERE action = 'rotateEncryptionKeys' ORDER BY id`,
      );
      expect(audited).toEqual([
        { actor_id: 'command-line', target: 'encryption-key:2026b', outcome: null, details: {} },
        {
          actor_id: 'command-line',
          target: 'encryption-key:2026b',
          outcome: 'ok',
          details: { resealed: left, unreadable: 0, left: 0 },
        },
      ]);
    },
    processTimeoutMs,
  );

  test(
    'what cannot be decrypted is named by table, column, row and connection, and the rest is done',
    async () => {
      await addSealedConnections(database, new SecretCipher([older]), 4);
      const [first, second, third] = (await database.query('SELECT id FROM connections ORDER BY id')).map(
        ({ id }) => Number(id),
      );
      const lost = new SecretCipher([{ id: 'lost', key: randomBytes(32) }]);
      await database.query('UPDATE connection_secrets SET access_token = $2 WHERE connection_id = $1', [
        first,
        lost.seal('x', { table: 'connection_secrets', column: 'access_token', row: String(first) }),
      ]);
      // Moved from one row to another, and from one column to another.
      await database.query(
        `UPDATE connection_secrets SET client_secret = (SELECT client_secret FROM connection_secrets WHERE connection_id = $1),
           refresh_token = access_token WHERE connection_id = $2`,
        [first, second],
      );
      await database.query(
        `UPDATE connection_secrets SET client_secret = 'in the open' WHERE connection_id = $1`,
        [third],
      );
      const { code, output, notes } = await callInProcess(rotateKeys, [], variables);
      expect(code).toBe(1);
      const named = [...notes.matchAll(/^Not re-encrypted: (\S+), row (\d+), connection (\d+) "([^"]+)"/gm)];
      expect(named.map(([, place, row, , name]) => `${place} ${row} ${name}`).sort()).toEqual([
        `connection_secrets.access_token ${first} Idle 1`,
        `connection_secrets.client_secret ${second} Idle 2`,
        `connection_secrets.client_secret ${third} Idle 3`,
        `connection_secrets.refresh_token ${second} Idle 2`,
      ]);
      expect(notes).toContain('key "lost" is not in ENCRYPTION_KEYS');
      expect(notes + output).not.toContain('in the open');
      expect(output).toMatch(/^8 secrets re-encrypted.*\n4 secrets can't be decrypted/);
      expect(await countUnder(database, newer.id)).toBe(8);

      const status = await callInProcess(rotateKeys, ['--status'], variables);
      expect(status.code).toBe(0);
      expect(status.output).toMatch(/^2026b +8 +first, encrypts, connection_secrets\.access_token 3/m);
      expect(status.output).toMatch(/^2026a +2 +decrypts only/m);
      expect(status.output).toMatch(
        /^lost +1 +NOT in ENCRYPTION_KEYS, connection_secrets\.access_token 1\n\(none\) +1 /m,
      );
    },
    processTimeoutMs,
  );

  test('a pair that a server stores meanwhile is kept', async () => {
    await addSealedConnections(database, new SecretCipher([older]), 3);
    const [{ id } = {}] = await database.query('SELECT min(id) AS id FROM connections');
    const place = { table: 'connection_secrets', column: 'access_token', row: String(id) };
    let stored = false;
    const { result } = await rotate(async (text, parameters) => {
      if (!stored && text.includes('FOR UPDATE') && text.includes('access_token')) {
        stored = true;
        await database.query('UPDATE connection_secrets SET access_token = $2 WHERE connection_id = $1', [
          id,
          new SecretCipher([newer]).seal('stored meanwhile', place),
        ]);
      }
      return database.query(text, parameters) as Promise<never[]>;
    });
    expect(stored).toBe(true);
    expect(result).toEqual({ resealed: 8, unreadable: 0, left: 0, stillSealing: [] });
    const [row] = await database.query(
      'SELECT access_token FROM connection_secrets WHERE connection_id = $1',
      [id],
    );
    expect(new SecretCipher([newer]).open(String(row?.['access_token']), place)).toBe('stored meanwhile');
  });

  test('a locked row is not waited for, and is done once it is free', async () => {
    await addSealedConnections(database, new SecretCipher([older]), 3);
    const holder = new pg.Client({ connectionString: database.url });
    await holder.connect();
    await holder.query('BEGIN; SELECT 1 FROM connection_secrets ORDER BY connection_id LIMIT 1 FOR UPDATE');
    const rotating = rotate();
    // Under a lock that was waited for, the other six would not be done.
    while ((await countUnder(database, newer.id)) < 6) await delay(10);
    await holder.query('COMMIT');
    await holder.end();
    expect((await rotating).result).toEqual({ resealed: 9, unreadable: 0, left: 0, stillSealing: [] });
  });

  test('a server that keeps sealing with an old key is told', async () => {
    await addSealedConnections(database, new SecretCipher([older]), 2);
    const [{ id } = {}] = await database.query('SELECT min(id) AS id FROM connections');
    const place = { table: 'connection_secrets', column: 'access_token', row: String(id) };
    const { result } = await rotate(async (text, parameters) => {
      const rows = await database.query(text, parameters);
      if (text.includes('FOR UPDATE') && text.includes('access_token'))
        await database.query('UPDATE connection_secrets SET access_token = $2 WHERE connection_id = $1', [
          id,
          new SecretCipher([older]).seal('sealed as before', place),
        ]);
      return rows as never[];
    });
    expect(result).toMatchObject({ unreadable: 0, left: 1, stillSealing: [older.id] });
  }, 20_000);

  test(
    'a server that is connected and has another key in front is told by its key',
    async () => {
      const listener = new pg.Client({
        connectionString: database.url,
        application_name: `omnera-calendly seals with ${older.id}`,
      });
      await listener.connect();
      const { code, output } = await callInProcess(rotateKeys, [], variables);
      await listener.end();
      expect(code).toBe(1);
      expect(output).toMatch(
        /Servers still seal with another key \(1 with 2026a\).*Put 2026b first in ENCRYPTION_KEYS of every server/,
      );
    },
    processTimeoutMs,
  );

  test('every place is brought along', async () => {
    await addSealedConnections(database, new SecretCipher([older]), 1);
    const [{ id } = {}] = await database.query('SELECT min(id) AS id FROM connections');
    const [flow, hook] = ['00000000-0000-4000-8000-000000000001', '00000000-0000-4000-8000-000000000002'];
    const seal = (table: string, column: string, row: string) =>
      new SecretCipher([older]).seal(`${column} of ${row}`, { table, column, row });
    await database.query(
      `INSERT INTO authorization_flows (id, connection_id, epoch, start_token_hash, verifier_envelope, scopes, started_by, expires_at)
       VALUES ($1, $2, 1, 'x', $3, '{}', 'key', now())`,
      [flow, id, seal('authorization_flows', 'verifier_envelope', flow)],
    );
    await database.query(
      `WITH feed AS (INSERT INTO change_feeds (client_id, base_id) VALUES ('idle', 'appABC123') RETURNING id)
       INSERT INTO webhooks (id, feed_id, generation, state, mac_secret_envelope) SELECT $1, id, 1, 'active', $2 FROM feed`,
      [hook, seal('webhooks', 'mac_secret_envelope', hook)],
    );
    const trigger = '00000000-0000-4000-8000-000000000003';
    await database.query(
      `INSERT INTO triggers (id, name, connection_id, base_id, table_id, endpoint_url, created_by, state, feed_id, generation, payload,
              ordinal, created_at, updated_at)
       SELECT $1, 'T', $2, base_id, 'tbl1', 'https://example.com', 'key:1', 'active', id, 1, 0, 0, now(), now() FROM change_feeds`,
      [trigger, id],
    );
    await database.query(
      'INSERT INTO trigger_secrets (trigger_id, connection_id, secret, previous_secret) VALUES ($1, $2, $3, $4)',
      [
        trigger,
        id,
        ...['secret', 'previous_secret'].map((column) => seal('trigger_secrets', column, trigger)),
      ],
    );
    expect((await rotate()).result).toMatchObject({ resealed: 7, left: 0 });
    const envelopes = await allEnvelopes(database);
    expect(envelopes).toHaveLength(envelopePlaces.length);
    for (const { envelope, ...place } of envelopes)
      expect(new SecretCipher([newer]).open(envelope, place)).toBe(`${place.column} of ${place.row}`);
  });
});

test.each([
  ['--help', { kind: 'help' }],
  ['--status', { kind: 'status', json: false }],
  ['--status --json', { kind: 'status', json: true }],
  ['', { kind: 'rotate', json: false }],
])('"%s" is understood', (line, command) => {
  expect(readRotationCommand(line.split(' ').filter(Boolean))).toEqual(command);
});

test.each(['--dry-run', 'status'])('"%s" is refused with where help is', (line) => {
  expect(() => readRotationCommand([line])).toThrow(/npm run rotate-keys -- --help/);
});

test(
  'says what is missing, in words and with exit code 1',
  async () => {
    const [help, noKeys, noDatabase] = await Promise.all([
      callInProcess(rotateKeys, ['--help'], {}),
      runCommand('rotate-keys', [], { DATABASE_URL: 'postgres://127.0.0.1:1/none', DATA_DIR: '/nowhere' }),
      callInProcess(rotateKeys, [], {
        DATABASE_URL: 'postgres://somebody:hidden-password@127.0.0.1:1/none',
        ENCRYPTION_KEYS: ring(newer),
      }),
    ]);
    expect(help).toMatchObject({ code: 0, output: expect.stringContaining('npm run rotate-keys --') });
    expect(noKeys).toMatchObject({ code: 1, notes: expect.stringMatching(/ENCRYPTION_KEYS is not set/) });
    expect(noDatabase).toMatchObject({ code: 1, notes: expect.stringMatching(/database cannot be reached/) });
    expect(noDatabase.notes).not.toContain('hidden-password');
  },
  processTimeoutMs,
);
