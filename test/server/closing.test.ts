import { expect, test } from '@jest/globals';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { answerUnreadable } from '../../src/server/unreadable-request.ts';
import { control, startTestApp } from '../support/app.ts';
import { createSync, crm, edit, mutate, readSync, until } from '../sync/sync-app.ts';

/** An ordered end has ten seconds in all; nothing here needs a tenth of that. */
const soonMs = 5_000;

test('a server that waits for a silent upstream ends soon, and leaves its work to others', async () => {
  // Whoever works ends; the other only answers.
  const app = await startTestApp({ lookEveryMs: 50, config: { role: 'web' } });
  const worker = await app.another({ role: 'worker' });
  try {
    const sync = await createSync(app, await app.connect());
    await until(async () => (await readSync(app, sync.id)).state === 'LIVE', 'the copy is filled');
    await control(app.sandbox.url, 'faults', {
      match: { method: 'GET', path: `/v0/bases/${crm.baseId}/webhooks/*/payloads` },
      kind: 'delay',
      delayMs: 60_000,
    });
    await edit(app, { create: [{ fields: { Name: 'Unheard' } }] });
    const pulls = `SELECT 1 FROM webhooks WHERE drain_holder IS NOT NULL`;
    await until(async () => (await app.database.query(pulls)).length === 1, 'changes are being pulled');
    // It waits for what the log has to be told first.
    await mutate(app, 'reconcileSync', { id: sync.id });
    await until(
      async () => (await readSync(app, sync.id)).progress.phase === 'RECONCILING',
      'it is read again',
    );

    const begun = performance.now();
    await worker.close();
    expect(performance.now() - begun).toBeLessThan(soonMs);
    expect(await app.database.query('SELECT 1 FROM syncs WHERE holder IS NOT NULL')).toEqual([]);
  } finally {
    await app.close();
  }
});

test('a peer whose request ran out of time, and who keeps its side open, is let go', async () => {
  const server = createServer({ headersTimeout: 100, connectionsCheckingInterval: 50 });
  server.on('clientError', answerUnreadable).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const peer = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  try {
    peer.write('GET / HTTP/1.1\r\nHost');
    const [answer] = (await once(peer, 'data')) as [Buffer];
    expect(answer.toString()).toContain('408 Request Timeout');
    const connections = () =>
      new Promise<number>((resolve) => server.getConnections((_error, count) => resolve(count)));
    await until(async () => (await connections()) === 0, 'the server has let go of it');
  } finally {
    peer.destroy();
    server.close();
  }
});
