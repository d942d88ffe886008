import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { minute, MovableClock } from '../../activity/activity-of.ts';
import { addContacts, edit } from '../../changes/upstream-edits.ts';
import { authorizationUrl, control, startTestApp, walkFlow, type TestApp } from '../../support/app.ts';
import { until } from '../../support/ping-receiver.ts';
import { EndpointServer, status } from './endpoint-server.ts';
import { checkNow, contacts, createTrigger, lookNow, mutate, triggerOf } from './operations.ts';

const clock = new MovableClock();
const endpoint = new EndpointServer();
let app: TestApp;

beforeAll(async () => {
  [app] = await Promise.all([startTestApp({ clock }), endpoint.start()]);
});
afterAll(() => Promise.all([app.close(), endpoint.close()]));
beforeEach(() => endpoint.reset());
afterEach(async () => {
  await app.database.query('DELETE FROM triggers');
});

const told = (): string[] =>
  endpoint.events.map(({ type, data }) => (data.recordId ? `${type} ${data.recordId}` : type));
const loggedOf = async (id: string, recordId: string): Promise<number> =>
  (
    await app.database.query(
      'SELECT 1 FROM changes JOIN triggers USING (feed_id) WHERE id = $1 AND record_id = $2',
      [id, recordId],
    )
  ).length;

/** As if all that the log has, but its last entry, were from long ago. @returns how many entries are gone */
async function pruneAllButLast(): Promise<number> {
  await app.database.query(
    `UPDATE changes SET logged_at = now() - interval '31 days'
     WHERE (feed_id, generation, payload, ordinal) NOT IN (
       SELECT DISTINCT ON (feed_id) feed_id, generation, payload, ordinal FROM changes
       ORDER BY feed_id, generation DESC, payload DESC, ordinal DESC)`,
  );
  await app.database.query(`UPDATE change_feeds SET pruned_until = pruned_until - interval '31 days'`);
  return app.app.changeLog.prune(30);
}
const pausedBecause = async (id: string): Promise<string | null> => (await triggerOf(app, id)).pausedBecause;

test('a base that is taken out of the grant pauses its trigger, which goes on when it is granted again', async () => {
  const connection = await app.connect();
  const { id } = await createTrigger(app, { connection, endpoint: endpoint.url });
  const { grants } = await control<{ grants: { id: string }[] }>(app.sandbox.url, 'grants');
  const grant = (baseIds: string[]) =>
    control(app.sandbox.url, 'grants', { grantId: grants.at(-1)?.id, baseIds });
  await grant(['appWorldCountries']);
  // The schema that is known proves nothing any more.
  clock.advance(10 * minute);
  await checkNow(app, id);
  await until('it is paused', async () => (await pausedBecause(id)) === 'BASE_OUT_OF_REACH');
  expect((await triggerOf(app, id)).problem).toContain(contacts.baseId);

  await grant([contacts.baseId]);
  await checkNow(app, id);
  await until('it goes on', async () => (await pausedBecause(id)) === null);
  const [record] = await addContacts(app, 1);
  await until('it was told', () => told().includes(`record.created ${record}`));
  await app.graphql('mutation ($id: Int!) { deleteConnection(input: { connection: $id }) { __typename } }', {
    id: connection,
  });
});

test('an upstream that hangs holds up no endpoint, and who pauses a trigger by hand meanwhile is heeded', async () => {
  const away = await app.connect();
  const here = await app.connect();
  const [paused, other] = await Promise.all([
    createTrigger(app, { connection: away, endpoint: endpoint.url, kinds: ['DELETED'] }),
    createTrigger(app, { connection: away, endpoint: endpoint.url, kinds: ['DELETED'] }),
  ]);
  const failing = await createTrigger(app, { connection: here, endpoint: endpoint.url, kinds: ['CREATED'] });
  endpoint.queued = [status(500), status(500)];
  await addContacts(app, 1);
  const failed = (count: number): Promise<void> =>
    until('it failed', async () => (await triggerOf(app, failing.id)).health.failuresInRow === count);
  await failed(1);
  const setState = (state: string) =>
    app.database.query('UPDATE connections SET state = $2 WHERE id = $1', [away, state]);
  await setState('disconnected');
  await lookNow(app, paused.id);
  for (const { id } of [paused, other])
    await until('it is paused', async () => (await pausedBecause(id)) === 'CONNECTION_AWAY');

  // What was known of the base proves nothing any more, and the upstream takes its time.
  clock.advance(11 * minute);
  const fault = { match: { path: '/v0/meta/**' }, kind: 'delay', delayMs: 60_000, times: 100 };
  await control(app.sandbox.url, 'faults', fault);
  try {
    await setState('connected');
    await app.database.query(`UPDATE triggers SET checked_at = checked_at - interval '1 hour'`);
    await lookNow(app, paused.id);
    await until('the upstream is asked', async () => {
      const { faults } = await control<{ faults: { matched: number }[] }>(app.sandbox.url, 'faults');
      return faults.some(({ matched }) => matched > 0);
    });
    await failed(2);
    clock.advance(minute);
    await until('the endpoint is tried', async () => {
      await lookNow(app, failing.id);
      return (await triggerOf(app, failing.id)).health.waiting === 0;
    });
    await mutate(app, 'pauseTrigger', { id: paused.id }, 'trigger { id }');
  } finally {
    await fetch(`${app.sandbox.url}/_control/faults`, { method: 'DELETE' });
  }
  await until('the other goes on', async () => (await pausedBecause(other.id)) === null);
  // What was looked at before is done with when something is looked at again.
  const old = `checked_at < clock_timestamp() - interval '1 minute'`;
  await checkNow(app, other.id);
  await until('it is looked at', async () => {
    return (
      (await app.database.query(`SELECT 1 FROM triggers WHERE id = $1 AND ${old}`, [other.id])).length === 0
    );
  });
  expect(await pausedBecause(paused.id)).toBe('BY_HAND');
});

test('an edit that the upstream holds up takes back nothing that was edited or deleted meanwhile', async () => {
  const connection = await app.connect();
  const { baseId, tableId } = contacts;
  const schema = (change: object) => control(app.sandbox.url, 'schema', { baseId, ...change });
  const fields = ['Passing by', 'Staying'];
  for (const name of fields) await schema({ addField: { tableId, name, type: 'singleLineText' } });
  clock.advance(minute);
  const { id } = await createTrigger(app, { connection, endpoint: endpoint.url, fields });
  const watched = (await triggerOf(app, id)).fields;
  // What is known of the base proves nothing any more.
  clock.advance(11 * minute);
  const fault = { match: { path: '/v0/meta/**' }, kind: 'delay', delayMs: 60_000, times: 100 };
  await control(app.sandbox.url, 'faults', fault);
  const filter = { field: 'Staying', isEmpty: false };
  const slow = mutate(app, 'updateTrigger', { id, name: 'Renamed', filter }, 'trigger { id }');
  const leaked = endpoint.url;
  const fresh = leaked.replace('/hook', '/fresh');
  try {
    await until('the upstream is asked', async () => {
      const { faults } = await control<{ faults: { matched: number }[] }>(app.sandbox.url, 'faults');
      return faults.some(({ matched }) => matched > 0);
    });
    await mutate(app, 'updateTrigger', { id, endpoint: fresh, kinds: ['UPDATED'] }, 'trigger { id }');
    await schema({ removeField: { tableId, fieldId: 'Passing by' } });
    await until('it watches the other', async () => (await triggerOf(app, id)).fields.length === 1);
  } finally {
    await fetch(`${app.sandbox.url}/_control/faults`, { method: 'DELETE' });
    await slow;
  }
  expect(await triggerOf(app, id)).toMatchObject({
    name: 'Renamed',
    kinds: ['UPDATED'],
    fields: watched.slice(1),
    filter,
    endpoint: fresh,
  });
});

test('a key that does not reach the base neither makes, sees nor edits its triggers', async () => {
  const connection = await app.connect();
  const { id } = await createTrigger(app, { connection, endpoint: endpoint.url });
  const { key } = await app.app.keys.issue({
    name: 'Elsewhere',
    role: 'admin',
    connectionIds: [connection],
    baseIds: ['appWorldCountries'],
    expiresAt: null,
  });
  const elsewhere: Pick<TestApp, 'graphql'> = {
    graphql: (document, variables) => app.graphql(document, variables, { key }),
  };
  await expect(createTrigger(elsewhere, { connection, endpoint: endpoint.url })).rejects.toThrow('NOT_FOUND');
  await expect(triggerOf(elsewhere, id)).rejects.toThrow('TRIGGER_NOT_FOUND');
  for (const name of ['pauseTrigger', 'deleteTrigger', 'testTrigger'])
    await expect(mutate(elsewhere, name, { id }, '__typename')).rejects.toThrow('TRIGGER_NOT_FOUND');
  const { data } = await elsewhere.graphql('{ triggers { id } }');
  expect(data.triggers).toEqual([]);
  expect((await triggerOf(app, id)).state).toBe('ACTIVE');
});

test('with another OAuth client it is told that changes may be lost, and goes on at the head of the other log', async () => {
  const connection = await app.connect();
  const { id } = await createTrigger(app, { connection, endpoint: endpoint.url });
  await app.graphql(
    'mutation ($input: UpdateConnectionInput!) { updateConnection(input: $input) { __typename } }',
    {
      input: {
        connection,
        clientId: 'calendly_client_second',
        clientSecret: 'secret_calendly_second',
      },
    },
  );
  await lookNow(app, id);
  await until('it is paused', async () => (await pausedBecause(id)) === 'CONNECTION_AWAY');
  const [missed] = await addContacts(app, 1);
  await walkFlow(await authorizationUrl(app.graphql, connection));
  await checkNow(app, id);
  await until('it goes on', async () => (await pausedBecause(id)) === null);
  const [record] = (await addContacts(app, 1)) as [string];
  await until('it was told', () => told().includes(`record.created ${record}`));
  expect(told()).toEqual(['changes.lost', `record.created ${record}`]);
  expect(told()).not.toContain(`record.created ${missed}`);
  expect(endpoint.events[0]?.data).toMatchObject({ reason: 'WEBHOOK_GONE', since: null });
});

test('one that was paused for longer than the log reaches back is told so, and then what the log still has', async () => {
  const connection = await app.connect();
  const { id } = await createTrigger(app, { connection, endpoint: endpoint.url });
  const [record] = (await addContacts(app, 1)) as [string];
  await until('it was told', () => told().length === 1);
  await mutate(app, 'pauseTrigger', { id }, 'trigger { id }');
  await lookNow(app, id);
  // What lies in memory can't be lost.
  await until('nobody follows the log', () => app.app.changeFeeds.followed.length === 0);
  for (const Phone of ['1', '2', '3']) await edit(app, { update: [{ id: record, fields: { Phone } }] });
  await until('they are logged', async () => (await loggedOf(id, record)) === 4);
  expect(await pruneAllButLast()).toBeGreaterThanOrEqual(3);
  endpoint.reset();
  await mutate(app, 'resumeTrigger', { id }, 'trigger { id }');
  await until('it was told', () => told().length === 2);
  expect(told().sort()).toEqual(['changes.lost', `record.updated ${record}`]);
  const loss = endpoint.events.find(({ type }) => type === 'changes.lost');
  const kept = endpoint.events.find(({ type }) => type === 'record.updated');
  expect(loss?.data).toMatchObject({
    trigger: id,
    reason: 'CURSOR_PRUNED',
    since: null,
    until: expect.any(String),
  });
  expect(kept?.data['changes']).toContainEqual(expect.objectContaining({ name: 'Phone', current: '3' }));
});

test('one whose fields were deleted, by a change that the log does not tell any more, is told so and paused again', async () => {
  const connection = await app.connect();
  const { baseId, tableId } = contacts;
  const schema = (change: object) => control(app.sandbox.url, 'schema', { baseId, ...change });
  await schema({ addField: { tableId, name: 'Passing', type: 'singleLineText' } });
  clock.advance(minute);
  const { id } = await createTrigger(app, { connection, endpoint: endpoint.url, fields: ['Passing'] });
  const filter = { field: 'Phone', isEmpty: false };
  const { id: other } = await createTrigger(app, { connection, endpoint: endpoint.url, filter });
  const [record] = (await addContacts(app, 1)) as [string];
  await schema({ removeField: { tableId, fieldId: 'Passing' } });
  await until('it is paused', async () => (await pausedBecause(id)) === 'FIELD_DELETED');
  await mutate(app, 'pauseTrigger', { id: other }, 'trigger { id }');
  await lookNow(app, id);
  await until('nobody follows the log', () => app.app.changeFeeds.followed.length === 0);
  await edit(app, { update: [{ id: record, fields: { Email: 'a@example.com' } }] });
  await until('it is logged', async () => (await loggedOf(id, record)) === 2);
  await pruneAllButLast();
  endpoint.reset();
  for (const one of [other, id]) await mutate(app, 'resumeTrigger', { id: one }, 'trigger { id }');
  await until('it was told', () => told().includes('changes.lost'));
  await checkNow(app, other);
  await checkNow(app, id);
  await until('it is paused again', async () => (await pausedBecause(id)) === 'FIELD_DELETED');
  expect((await triggerOf(app, other)).state).toBe('ACTIVE');
});
