import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { readKeysCommand } from '../../src/access/keys-command.ts';
import { keys as keysCommand } from '../../src/commands/keys.ts';
import { temporaryFolder } from '../local/server-process.ts';
import { startTestApp, type TestApp } from '../support/app.ts';
import { callInProcess, runCommand } from '../support/command.ts';

const processTimeoutMs = 120_000;

const keys = (args: string[], variables: Record<string, string>) =>
  callInProcess(keysCommand, args, variables);

describe('what is asked for', () => {
  const now = Date.UTC(2030, 0, 1);

  test('a key is described by options', () => {
    const args =
      'create --name CI --role viewer --connection 1 --connection 2 --base appABC123 --expires-in 30d';
    expect(readKeysCommand(args.split(' '), now)).toEqual({
      kind: 'create',
      wanted: {
        name: 'CI',
        role: 'viewer',
        connectionIds: [1, 2],
        baseIds: ['appABC123'],
        expiresAt: new Date(Date.UTC(2030, 0, 31)),
      },
    });
    expect(readKeysCommand(['create', '--name', 'CI', '--role', 'admin'], now)).toMatchObject({
      wanted: { connectionIds: null, baseIds: null, expiresAt: null },
    });
  });

  test.each([
    ['', /create, list or revoke/],
    ['frobnicate', /no command frobnicate/],
    ['create', /Key name must be at least 1 character\nRole must be one of viewer, editor, admin\n/],
    ['create --name CI --role owner', /Role must be one of/],
    ['create --name CI --role viewer --connection x', /positive integer/],
    ['create --name CI --role viewer --base tblA', /starts with 'app'/],
    ['create --name CI --role viewer --expires-in 30', /--expires-in must be a time such as/],
    ['create --name CI --role viewer --expires-in 3651d', /3650d at most/],
    ['create --name CI --role viewer --fast', /--fast/],
    ['create CI', /CI is one word too many/],
    ['list 7', /7 is one word too many/],
    ['list --role viewer', /--role goes with create only/],
    ['revoke', /by its number/],
    ['revoke 0', /by its number/],
    ['revoke seven', /by its number/],
  ])('"%s" is refused with the reason and where help is', (line, reason) => {
    const read = () => readKeysCommand(line.split(' ').filter(Boolean), now);
    expect(read).toThrow(reason);
    expect(read).toThrow(/npm run keys -- --help/);
  });
});

describe('on DATABASE_URL', () => {
  let app: TestApp;
  let variables: Record<string, string>;
  beforeAll(async () => {
    app = await startTestApp();
    variables = { DATABASE_URL: app.database.url };
  });
  afterAll(() => app.close());

  test(
    'makes, lists and revokes a key of a running server',
    async () => {
      const id = await app.connect();
      const made = await runCommand(
        'keys',
        ['create', '--name', 'CI', '--role', 'viewer', '--connection', String(id), '--expires-in', '1h'],
        variables,
      );
      expect(made).toMatchObject({ code: 0, output: expect.stringMatching(/^ock_\S{43}\n$/) });
      const key = made.output.trim();
      const [, keyId = ''] = /^Created key (\d+), viewer, connection \d+, expires /.exec(made.notes) ?? [];
      expect((await app.graphql('{ connections { id } }', {}, { key })).data).toEqual({
        connections: [{ id }],
      });

      const listed = await keys(['list'], variables);
      expect(listed.output).toMatch(
        new RegExp(`^${keyId} +CI +viewer +connection ${id} +\\d{4}-.*UTC +expires `, 'm'),
      );
      expect(listed.output).toMatch(/configured admin key +admin +all connections .*ADMIN_API_KEY$/m);
      expect(listed.output).not.toContain(key);

      expect(await keys(['revoke', keyId], variables)).toMatchObject({ code: 0, output: '' });
      expect((await app.graphql('{ __typename }', {}, { key })).status).toBe(401);
    },
    processTimeoutMs,
  );

  test(
    'says what it refuses, in words and with exit code 1',
    async () => {
      const [{ id: configured }] = (await app.database.query('SELECT id FROM api_keys WHERE configured')) as [
        { id: number },
      ];
      const outcomes = await Promise.all([
        keys(['revoke', String(configured)], variables),
        keys(['revoke', '424242'], variables),
        keys(['create', '--name', 'CI', '--role', 'viewer', '--connection', '424242'], variables),
        runCommand('keys', ['list'], {
          DATABASE_URL: 'postgres://somebody:hidden-password@127.0.0.1:1/none',
        }),
      ]);
      for (const { code, output, notes } of outcomes) {
        expect({ code, output }).toEqual({ code: 1, output: '' });
        expect(notes).not.toMatch(/ at .*\.ts:\d|hidden-password/);
      }
      expect(outcomes.map(({ notes }) => notes)).toEqual([
        expect.stringContaining('ADMIN_API_KEY'),
        expect.stringContaining('no API key with the id 424242'),
        expect.stringContaining('no connection with the id 424242'),
        expect.stringMatching(/database cannot be reached .*DATABASE_URL/),
      ]);
    },
    processTimeoutMs,
  );
});

test('tells how it goes, and where nothing was started yet, what to do', async () => {
  const folder = await temporaryFolder();
  expect(await keys(['--help'], {})).toMatchObject({
    code: 0,
    output: expect.stringContaining('npm run keys -- <command>'),
  });
  expect(await keys(['list'], { DATA_DIR: folder.path })).toMatchObject({
    code: 1,
    notes: expect.stringMatching(/no database .*npm start once, or set DATABASE_URL/),
  });
  await folder.remove();
});
