import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { control, startTestApp, type TestApp } from '../support/app.ts';
import { TestSubscription } from '../support/subscription.ts';
import { create, deny, grant, run } from './lifecycle.ts';

interface Change {
  kind: 'PRESENT' | 'CREATED' | 'UPDATED' | 'DELETED';
  connectionId: number;
  connection: { name: string; state: string; missingScopes: string[]; lastRefreshedAt: string | null } | null;
}

describe('connectionChanges', () => {
  let app: TestApp;
  const open: TestSubscription<Change>[] = [];
  beforeAll(async () => {
    app = await startTestApp();
  });
  afterEach(() => Promise.all(open.splice(0).map((subscription) => subscription.close())));
  afterAll(() => app.close());

  function listen(
    connection: number | null = null,
    { key = app.adminKey, url = app.url } = {},
  ): TestSubscription<Change> {
    const subscription = new TestSubscription<Change>(
      url,
      key,
      `subscription ($connection: Int) {
        connectionChanges(connection: $connection) {
          kind connectionId connection { name state ... on CalendlyConnection { missingScopes lastRefreshedAt } }
        }
      }`,
      { connection },
    );
    open.push(subscription);
    return subscription;
  }
  const kindsOf = ({ events }: TestSubscription<Change>, id: number) =>
    events.filter(({ connectionId }) => connectionId === id).map(({ kind }) => kind);

  test('a page sees "Connected" appear by itself, and everything before and after', async () => {
    const id = await create(app, 'Watched');
    const page = listen(id);
    const first = await page.until(() => true);
    expect(first).toMatchObject({ kind: 'PRESENT', connectionId: id, connection: { state: 'CONFIGURED' } });

    await deny(app, id);
    await page.until(({ kind, connection }) => kind === 'UPDATED' && connection?.state === 'ERROR');
    await grant(app, id);
    await page.until(({ connection }) => connection?.state === 'CONNECTED');
    await run(app, 'updateConnection', id, { name: 'Watched on', withEmail: true });
    await page.until(({ connection }) => connection?.missingScopes.includes('user.email:read') ?? false);
    await run(app, 'rotateTokens', id);
    await page.until(({ connection }) => typeof connection?.lastRefreshedAt === 'string');
    await run(app, 'disconnectConnection', id);
    await page.until(({ connection }) => connection?.state === 'DISCONNECTED');
    await run(app, 'deleteConnection', id);
    const last = await page.until(({ kind }) => kind === 'DELETED');
    expect(last).toEqual({ kind: 'DELETED', connectionId: id, connection: null });
    expect(kindsOf(page, id).filter((kind) => kind !== 'UPDATED')).toEqual(['PRESENT', 'DELETED']);
  });

  test('a refresh that the upstream refuses is told as the state ERROR', async () => {
    const id = await app.connect({ name: 'Loses its grant' });
    const page = listen(id);
    await page.until(() => true);
    await control(app.sandbox.url, 'revoke', { clientId: 'calendly_client_xyz789' });
    await run(app, 'testConnection', id);
    await page.until(({ connection }) => connection?.state === 'ERROR');
  });

  test('the list begins with every connection once, and a new one joins it', async () => {
    const all = await Promise.all(['One', 'Two', 'Three'].map((name) => create(app, name)));
    const page = listen();
    for (const id of all) await page.until(({ connectionId }) => connectionId === id);
    const id = await create(app, 'Four');
    await page.until(({ connectionId }) => connectionId === id);
    expect(kindsOf(page, id)).toEqual(['CREATED']);
    for (const one of all) expect(kindsOf(page, one)).toEqual(['PRESENT']);
  });

  test('what is done on one instance is told on every other', async () => {
    const id = await create(app, 'Elsewhere');
    const other = await app.another();
    try {
      const page = listen(id, { url: other.url });
      await page.until(() => true);
      await run(app, 'updateConnection', id, { name: 'Renamed elsewhere' });
      await page.until(({ connection }) => connection?.name === 'Renamed elsewhere');
    } finally {
      await Promise.all(open.splice(0).map((subscription) => subscription.close()));
      await other.close();
    }
  });

  test('what was written while nobody could listen is told after the connection to the database is back', async () => {
    const id = await create(app, 'Missed');
    const page = listen(id);
    await page.until(() => true);
    await app.database.query('ALTER TABLE connections DISABLE TRIGGER USER');
    await run(app, 'updateConnection', id, { name: 'Written in silence' });
    await app.database.query('ALTER TABLE connections ENABLE TRIGGER USER');
    expect(kindsOf(page, id)).toEqual(['PRESENT']);
    await app.database.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
       WHERE datname = current_database() AND application_name LIKE 'omnera-calendly seals with %'`,
    );
    await page.until(({ connection }) => connection?.name === 'Written in silence', 5_000);
  });

  test('a key only hears of the connections that it may see', async () => {
    const [own, other] = [await create(app, 'Own'), await create(app, 'Other')];
    const key = await app.app.keys.create('Reaches one', 'viewer', { connectionIds: [own] });
    const page = listen(null, { key });
    await page.until(() => true);
    await run(app, 'updateConnection', other, { name: 'Other, renamed' });
    await run(app, 'deleteConnection', other);
    await run(app, 'updateConnection', own, { name: 'Own, renamed' });
    await page.until(({ connection }) => connection?.name === 'Own, renamed');
    expect(page.events.map(({ connectionId }) => connectionId)).toEqual([own, own]);
    await expect(listen(other, { key }).until(() => true)).rejects.toThrow('CONNECTION_NOT_FOUND');
  });

  test('a lease on a refresh or a new flow is nothing that a page would show', async () => {
    const id = await create(app, 'Quiet');
    const page = listen(id);
    await page.until(() => true);
    await app.graphql(
      'mutation ($id: Int!) { connectConnection(input: { connection: $id }) { __typename } }',
      { id },
    );
    await run(app, 'updateConnection', id, { name: 'Loud' });
    await page.until(({ connection }) => connection?.name === 'Loud');
    expect(kindsOf(page, id)).toEqual(['PRESENT', 'UPDATED']);
  });

  test('events can be streamed over HTTP, and end with it', async () => {
    const id = await create(app, 'Streamed');
    const stop = new AbortController();
    const response = await fetch(`${app.url}/graphql`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        accept: 'text/event-stream',
        authorization: `Bearer ${app.adminKey}`,
      },
      body: JSON.stringify({
        query: `subscription { connectionChanges(connection: ${id}) { kind connection { state } } }`,
      }),
      signal: stop.signal,
    });
    let text = '';
    for await (const chunk of response.body ?? []) {
      text += Buffer.from(chunk as Uint8Array).toString('utf8');
      if (text.includes('PRESENT')) break;
    }
    expect(text).toContain('"state":"CONFIGURED"');
    stop.abort();
  });
});
