import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Caller } from '../../src/access/caller.ts';
import { control, startTestApp, type TestApp } from '../support/app.ts';
import { TEST_CLIENT } from '../support/sandbox-grant.ts';
import { create, grant, read, run, storedSecrets } from './lifecycle.ts';

describe('updateConnection', () => {
  let app: TestApp;
  beforeAll(async () => {
    app = await startTestApp();
  });
  afterAll(() => app.close());

  const grants = async () => (await control(app.sandbox.url, 'grants')).grants.length as number;

  test('CONN-CALENDLY-003 renames a connection, and its grant goes on', async () => {
    const id = await app.connect({ name: 'Marketing Calendly' });
    const updated = await run(app, 'updateConnection', id, { name: 'Sales Calendly' });
    expect(updated).toMatchObject({
      __typename: 'UpdateConnectionSuccess',
      tokensRevoked: null,
      connection: { id, name: 'Sales Calendly', state: 'CONNECTED' },
    });
    expect((await read(app, id)).name).toBe('Sales Calendly');
    expect((await run(app, 'testConnection', id)).works).toBe(true);
  });

  test('two who change different things at once both get their way, and what was deleted meanwhile is missing', async () => {
    const id = await create(app, 'Edited by two');
    const before = await app.app.connections.get(id);
    await app.app.lifecycle.update(before, { name: 'Renamed meanwhile' });
    await app.app.lifecycle.update(before, { requestedScopes: ['data.records:read'] });
    expect(await app.app.connections.get(id)).toMatchObject({
      name: 'Renamed meanwhile',
      requestedScopes: ['data.records:read'],
    });
    await run(app, 'deleteConnection', id);
    const reach = { connectionIds: null, baseIds: null, expiresAt: null };
    const starter = new Caller({ id: 'key:1', name: 'Ada', role: 'admin', ...reach });
    await expect(app.app.flows.begin(before, starter, null)).rejects.toMatchObject({
      code: 'CONNECTION_NOT_FOUND',
    });
  });

  test('the type can not be changed', async () => {
    const id = await create(app, 'Typed');
    const refused = await run(app, 'updateConnection', id, { type: 'airtable', name: 'Never' });
    expect(refused.faults).toEqual([
      {
        path: ['type'],
        message: 'Connection type cannot be changed. Create a new connection instead.',
      },
    ]);
    expect((await read(app, id)).name).toBe('Typed');
    expect((await run(app, 'updateConnection', id, { type: 'calendly' })).__typename).toBe(
      'UpdateConnectionSuccess',
    );
  });

  test('all faults are told at once, in the words of creation', async () => {
    const id = await create(app, 'Faulty');
    const { faults } = await run(app, 'updateConnection', id, {
      name: ' ',
      clientId: '',
      clientSecret: '',
    });
    expect(faults).toEqual([
      { path: ['name'], message: 'Connection name must be at least 1 character' },
      { path: ['clientId'], message: 'Client ID must be at least 1 character' },
      { path: ['clientSecret'], message: 'Client secret is required and cannot be empty' },
    ]);
  });

  test('a form that sends everything back as it was changes nothing', async () => {
    const id = await app.connect({ name: 'Unchanged' });
    const [before, secrets] = [await read(app, id), await storedSecrets(app, id)];
    for (const clientSecret of ['***', null, TEST_CLIENT.clientSecret]) {
      await run(app, 'updateConnection', id, {
        type: 'calendly',
        name: 'Unchanged',
        clientId: TEST_CLIENT.clientId,
        clientSecret,
        scopes: 'WITH_WEBHOOKS',
      });
    }
    expect(await read(app, id)).toEqual(before);
    expect(await storedSecrets(app, id)).toEqual(secrets);
  });

  test('a taken name is refused before anything else is done', async () => {
    await create(app, 'Taken');
    const id = await app.connect({ name: 'Taker' });
    const refused = await run(app, 'updateConnection', id, { name: 'Taken', clientSecret: 'another' });
    expect(refused).toMatchObject({ __typename: 'NameTakenError', code: 'NAME_TAKEN' });
    expect(await read(app, id)).toMatchObject({ name: 'Taker', state: 'CONNECTED' });
  });

  test('another secret ends the grant: webhooks deleted, tokens revoked and forgotten, CONFIGURED', async () => {
    await control(app.sandbox.url, 'revoke', { clientId: TEST_CLIENT.clientId });
    await app.database.query(`UPDATE connections SET state = 'disconnected' WHERE state = 'connected'`);
    const id = await app.connect({ name: 'New secret' });
    await app.graphql(
      'mutation ($id: Int!) { createWebhook(input: { connection: $id, baseId: "appABC123" }) { __typename } }',
      { id },
    );
    const before = await grants();
    const updated = await run(app, 'updateConnection', id, { clientSecret: 'another' });
    expect(updated).toMatchObject({
      tokensRevoked: true,
      webhooksDeleted: 1,
      webhooksFailed: 0,
      connection: {
        state: 'CONFIGURED',
        scopes: [],
        account: null,
        problem: null,
        accessTokenExpiresAt: null,
        availableActions: ['CONNECT'],
      },
    });
    expect(await grants()).toBe(before - 1);
    expect(await storedSecrets(app, id)).toMatchObject({ access_token: null, refresh_token: null });
    const envelopes = await app.database.query(
      'SELECT 1 FROM webhooks WHERE connection_id = $1 AND mac_secret_envelope IS NOT NULL',
      [id],
    );
    expect(envelopes).toEqual([]);
  });

  test('the new secret is the one that is used', async () => {
    const id = await create(app, 'Corrected', { clientSecret: 'wrong' });
    await expect(grant(app, id)).rejects.toThrow('INVALID_CLIENT');
    expect((await read(app, id)).availableActions).toContain('UPDATE_CREDENTIALS');
    await run(app, 'updateConnection', id, { clientSecret: TEST_CLIENT.clientSecret });
    await grant(app, id);
    expect(await read(app, id)).toMatchObject({ state: 'CONNECTED', clientSecret: '***' });
  });

  test('a secret that can not be decrypted any more is replaced', async () => {
    const id = await create(app, 'Unreadable');
    await app.database.query(
      `UPDATE connection_secrets SET client_secret = 'v1.gone.AAAA.AAAA' WHERE connection_id = $1`,
      [id],
    );
    await run(app, 'updateConnection', id, { clientSecret: TEST_CLIENT.clientSecret });
    await grant(app, id);
  });

  test('a wider preset shows what is missing, and RECONNECT is offered', async () => {
    const id = await app.connect({ name: 'Wider', scopes: 'READ_ONLY' });
    const { connection } = await run(app, 'updateConnection', id, { scopes: 'READ_WRITE', withEmail: true });
    expect(connection).toMatchObject({
      state: 'CONNECTED',
      missingScopes: ['data.records:write', 'user.email:read'],
      availableActions: ['TEST', 'DISCONNECT', 'RECONNECT'],
    });
    expect((await run(app, 'updateConnection', id, { withEmail: false })).connection.missingScopes).toEqual([
      'data.records:write',
    ]);
    await grant(app, id);
    expect(await read(app, id)).toMatchObject({
      missingScopes: [],
      availableActions: ['TEST', 'DISCONNECT'],
    });
  });
});
