import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { startTestApp, type TestApp } from '../support/app.ts';
import { createSync, edit, expectEqual, mutate, readSync, settled } from './sync-app.ts';

let app: TestApp;
let connection: number;

beforeAll(async () => {
  app = await startTestApp();
  connection = await app.connect();
});
afterAll(() => app.close());

it('makes a table with typed columns, fills it, and follows what is created, changed and deleted', async () => {
  const made = await createSync(app, connection);
  expect(made).toMatchObject({ table: 'calendly.contacts', isOwnTable: true, direction: 'PULL' });
  const sync = await settled(app, made.id);
  const count = await expectEqual(app, sync);
  expect(sync.progress).toMatchObject({
    phase: 'LIVE',
    recordsDone: count,
    recordsExpected: count,
    backlog: 0,
  });

  const created = await edit(app, { create: [{ fields: { Name: 'One' } }, { fields: { Name: 'Two' } }] });
  await edit(app, { update: [{ id: created[0], fields: { Name: 'First', Status: 'Active' } }] });
  await edit(app, { destroy: [created[1]] });
  await settled(app, sync.id);
  expect(await expectEqual(app, sync)).toBe(count + 1);
  await mutate(app, 'deleteSync', { id: sync.id, dropTable: true });
  expect(await readSync(app, sync.id)).toBeFalsy();
});
