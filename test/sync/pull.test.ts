import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { startTestApp, type TestApp, type UntypedData } from '../support/app.ts';
import { createSync, edit, expectEqual, mutate, readSync, settled } from './sync-app.ts';

let app: TestApp;
let connection: number;

beforeAll(async () => {
  app = await startTestApp();
  connection = await app.connect();
});
afterAll(() => app.close());

const rows = async (text: string, params?: unknown[]): Promise<UntypedData[]> =>
  app.database.query(text, params);

/** What a subscription of one sync tells, until it ends or enough was told. */
async function progressOf(id: string, isEnough: (told: UntypedData[]) => boolean): Promise<UntypedData[]> {
  const stop = new AbortController();
  const response = await fetch(`${app.url}/graphql`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'text/event-stream',
      authorization: `Bearer ${app.adminKey}`,
    },
    body: JSON.stringify({
      query: `subscription { syncProgress(id: "${id}") { phase recordsDone recordsExpected upstreamCalls asOf } }`,
    }),
    signal: stop.signal,
  });
  let text = '';
  const told = () =>
    [...text.matchAll(/^data: (\{.*\})$/gm)].map(([, json]) => JSON.parse(json!).data.syncProgress);
  for await (const chunk of response.body ?? []) {
    text += Buffer.from(chunk as Uint8Array).toString('utf8');
    if (isEnough(told())) break;
  }
  stop.abort();
  return told();
}

it('makes a table with typed columns, fills it, tells how far it is, and follows what changes', async () => {
  const made = await createSync(app, connection);
  expect(made).toMatchObject({ table: 'calendly.contacts', isOwnTable: true, direction: 'PULL' });
  const told = progressOf(made.id, () => false);
  const sync = await settled(app, made.id);
  const count = await expectEqual(app, sync);
  expect(sync.progress).toMatchObject({ recordsDone: count, recordsExpected: count, backlog: 0 });

  const created = await edit(app, { create: [{ fields: { Name: 'One' } }, { fields: { Name: 'Two' } }] });
  await edit(app, { update: [{ id: created[0], fields: { Name: 'First', Status: 'Active' } }] });
  await edit(app, { destroy: [created[1]] });
  await settled(app, sync.id);
  expect(await expectEqual(app, sync)).toBe(count + 1);
  const [meta] = await rows('SELECT state, as_of FROM calendly._syncs WHERE id = $1', [sync.id]);
  expect(meta).toMatchObject({ state: 'live', as_of: expect.any(Date) });

  await mutate(app, 'deleteSync', { id: sync.id, dropTable: true });
  expect((await told).at(-1)).toMatchObject({ phase: 'LIVE', recordsDone: count });
  expect(await readSync(app, sync.id)).toBeFalsy();
  expect(await rows(`SELECT to_regclass('calendly.contacts') AS name`)).toEqual([{ name: null }]);
});
