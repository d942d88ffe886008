import { expect, test } from '@jest/globals';
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
