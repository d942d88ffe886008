import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { theCommandLine } from '../../src/audit/audit-event.ts';
import { readKeysCommand, runKeysCommand } from '../../src/access/keys-command.ts';
import { authorizationUrl, control, openFlow, startTestApp, walkFlow, type TestApp } from '../support/app.ts';
import { answerConsent } from '../support/sandbox-grant.ts';

let app: TestApp;
beforeAll(async () => {
  app = await startTestApp();
});
afterAll(() => app.close());

/** Lines of what the log got while something ran; mutations are left out, since they have a test of their own. */
async function eventsOf(act: () => Promise<unknown>): Promise<string[]> {
  const [last] = await app.database.query('SELECT coalesce(max(id), 0) AS id FROM audit_entries');
  await act();
  const entries = await app.database.query(
    'SELECT * FROM audit_entries WHERE id > $1 AND request_id IS NULL ORDER BY id',
    [last?.id],
  );
  return entries.map(({ actor_id, action, connection_id, target, outcome }) =>
    [actor_id, action, connection_id ?? '-', target ?? '-', outcome].join(' '),
  );
}

test('the configured admin key is told when it is put in force and when another takes its place, and not at every start', async () => {
  expect(await app.database.query(`SELECT target FROM audit_entries WHERE action = 'setAdminKey'`)).toEqual([
    { target: 'key:1' },
  ]);
  expect(await eventsOf(() => app.app.keys.ensureAdminKey(app.adminKey))).toEqual([]);
  expect(await eventsOf(() => app.app.keys.ensureAdminKey(randomBytes(24).toString('hex')))).toEqual([
    'server revokeApiKey - key:1 ok',
    expect.stringMatching(/^server setAdminKey - key:\d+ ok$/),
  ]);
  expect(await eventsOf(() => app.app.keys.ensureAdminKey(app.adminKey))).toEqual([
    expect.stringMatching(/^server revokeApiKey - key:\d+ ok$/),
    'server setAdminKey - key:1 ok',
  ]);
});

test('an authorization is told in the name of who began it, however it ends', async () => {
  let id = 0;
  expect(await eventsOf(async () => (id = await app.connect()))).toEqual([
    'key:1 openAuthorization 1 - ok',
    'key:1 finishAuthorization 1 - ok',
  ]);
  expect(id).toBe(1);
  expect(
    await eventsOf(async () => walkFlow(await authorizationUrl(app.graphql, id), undefined, 'deny')),
  ).toEqual(['key:1 openAuthorization 1 - ok', 'key:1 finishAuthorization 1 - ACCESS_DENIED']);
  const stolen = await eventsOf(async () => {
    const { consentUrl } = await openFlow(await authorizationUrl(app.graphql, id));
    await fetch(await answerConsent(consentUrl, 'grant', {}));
  });
  expect(stolen.at(-1)).toBe('key:1 finishAuthorization 1 - OTHER_BROWSER');
  const superseded = await eventsOf(async () => {
    const { consentUrl, cookie } = await openFlow(await authorizationUrl(app.graphql, id));
    await authorizationUrl(app.graphql, id);
    await fetch(await answerConsent(consentUrl, 'grant', {}), { headers: { cookie } });
  });
  expect(superseded.at(-1)).toBe('key:1 finishAuthorization 1 - FLOW_SUPERSEDED');
  const flowBeforeDiskIsFull = await authorizationUrl(app.graphql, id);
  await app.database.query(
    `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'full' USING ERRCODE = '53100'; END $$;
     CREATE TRIGGER refuse BEFORE UPDATE ON authorization_flows FOR EACH ROW
     WHEN (NEW.finished_at IS NOT NULL) EXECUTE FUNCTION refuse()`,
  );
  const unstored = await eventsOf(async () => {
    const { consentUrl, cookie } = await openFlow(flowBeforeDiskIsFull);
    const page = await fetch(await answerConsent(consentUrl, 'grant', {}), { headers: { cookie } });
    expect(page.status).toBe(503);
    expect(await page.text()).toContain('The disk of the database is full');
  });
  await app.database.query('DROP FUNCTION refuse CASCADE');
  expect(unstored.at(-1)).toBe('key:1 finishAuthorization 1 - DATABASE_UNAVAILABLE');
  expect(
    await app.database.query(
      `SELECT DISTINCT actor_name FROM audit_entries WHERE action IN ('openAuthorization', 'finishAuthorization')`,
    ),
  ).toEqual([{ actor_name: 'configured admin key' }]);
  const nobody = await eventsOf(() => fetch(`${app.url}/oauth/calendly/callback?state=guessed&code=x`));
  expect(nobody).toEqual([]);
});

test('a refused refresh that ends a connection is told once, by the server', async () => {
  const id = await app.connect({ name: 'Revoked' });
  const events = await eventsOf(async () => {
    await app.database.query(`UPDATE connections SET access_token_expires_at = now() WHERE id = $1`, [id]);
    await control(app.sandbox.url, 'faults', {
      match: { method: 'POST', path: '/oauth2/v1/token' },
      times: 20,
      kind: 'status',
      effect: 'before',
      status: 400,
      body: { error: 'invalid_grant' },
    });
    const ask = () =>
      app.graphql('query ($id: Int!) { base(connection: $id, baseId: "appABC123") { name } }', { id });
    await Promise.all([ask(), ask(), ask()]);
  });
  expect(events).toEqual([`server refreshTokens ${id} - INVALID_GRANT`]);
});

test('an address that is stopped for wrong keys is told once', async () => {
  const events = await eventsOf(async () => {
    for (let tries = 0; tries < 25; tries += 1)
      await app.app.authentication.caller(`wrong-${tries}`, '2001:db8::7').catch(() => undefined);
    // Nobody waits for it to be written.
    const written = () => app.database.query(`SELECT FROM audit_entries WHERE action = 'authenticate'`);
    while ((await written()).length === 0) await new Promise(setImmediate);
  });
  expect(events).toEqual(['address:2001:db8:0:0 authenticate - - TOO_MANY_ATTEMPTS']);
});

test('what the command line does to keys is told, and so is what it may not do', async () => {
  const command = async (line: string) => {
    const read = readKeysCommand(line.split(' '), Date.now());
    if (read.kind !== 'help') await runKeysCommand(read, app.app.keys, app.app.audit).catch(() => undefined);
  };
  const events = await eventsOf(async () => {
    await command('create --name ci --role viewer');
    await command('list');
    await command('revoke 1');
    await command('revoke 99999');
  });
  expect(events).toEqual([
    expect.stringMatching(new RegExp(`^${theCommandLine.id} createApiKey - key:\\d+ ok$`)),
    'command-line revokeApiKey - key:1 API_KEY_CONFIGURED',
    'command-line revokeApiKey - key:99999 API_KEY_NOT_FOUND',
  ]);
});

test('keys that are forgotten, and the key behind a GraphiQL link, are told', async () => {
  await app.database.query(
    `INSERT INTO api_keys (name, role, key_hash, revoked_at) VALUES ('old', 'viewer', '\\x00', now() - interval '91 days')`,
  );
  const events = await eventsOf(async () =>
    app.app.explorerCodes.redeem(await app.app.explorerCodes.issue()),
  );
  expect(events).toEqual([
    'server forgetApiKeys - - ok',
    expect.stringMatching(/^server createApiKey - key:\d+ ok$/),
  ]);
});
