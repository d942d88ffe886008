import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { Webhook } from 'standardwebhooks';
import { alertsOf, hour, minute, MovableClock } from '../../activity/activity-of.ts';
import { addContacts, edit } from '../../changes/upstream-edits.ts';
import { control, startTestApp, type TestApp } from '../../support/app.ts';
import { until } from '../../support/ping-receiver.ts';
import { answers } from './endpoint-answers.ts';
import { EndpointServer, status } from './endpoint-server.ts';
import { hostileUrls } from './hostile-urls.ts';
import { checkNow, contacts, createTrigger, lookNow, mutate, triggerOf } from './operations.ts';

const clock = new MovableClock();
const endpoint = new EndpointServer();
let app: TestApp;
let connection: number;

beforeAll(async () => {
  [app] = await Promise.all([startTestApp({ clock }), endpoint.start()]);
  connection = await app.connect();
});
afterAll(() => Promise.all([app.close(), endpoint.close()]));
beforeEach(() => endpoint.reset());
afterEach(async () => {
  await app.database.query('DELETE FROM triggers');
});

const deliveries = (count: number): Promise<void> =>
  until(`${count} deliveries`, () => endpoint.deliveries.length >= count);
const settled = (id: string): Promise<void> =>
  until('nothing waits', async () => (await triggerOf(app, id)).health.waiting === 0);
/** What is counted as a failure is stored: what it waits for does not move with the clock any more. */
const failed = (id: string, count: number): Promise<void> =>
  until(`${count} failures`, async () => (await triggerOf(app, id)).health.failuresInRow === count);
const underWay = async (): Promise<number> =>
  (await app.database.query('SELECT 1 FROM trigger_deliveries WHERE lease_until IS NOT NULL')).length;
const createAtOnce = (count: number): Promise<void> =>
  edit(app, { create: Array.from({ length: count }, () => ({ fields: { Name: 'One of many' } })) });
const told = (): string[] => endpoint.events.map(({ type, data }) => `${type} ${data.recordId}`);

/** Time for the triggers alone: tokens do not grow old by it. A clock that moved wakes nobody, so they are. */
async function wait(ms: number, id: string): Promise<void> {
  clock.advance(ms);
  await lookNow(app, id);
}

describe('what is told', () => {
  test('creations, updates and deletions, signed, each once and in order', async () => {
    const { id, secret } = await createTrigger(app, { connection, endpoint: endpoint.url });
    const [recordId] = (await addContacts(app, 1)) as [string];
    await edit(app, { update: [{ id: recordId, fields: { Phone: '12' } }] });
    await edit(app, { destroy: [recordId] });
    await deliveries(3);
    expect(told()).toEqual([
      `record.created ${recordId}`,
      `record.updated ${recordId}`,
      `record.deleted ${recordId}`,
    ]);
    for (const { body, headers } of endpoint.deliveries) {
      expect(Math.abs(Number(headers['webhook-timestamp']) - clock.now() / 1_000)).toBeLessThan(2);
      const at = new Date(Number(headers['webhook-timestamp']) * 1_000);
      expect(headers['webhook-signature']).toBe(new Webhook(secret).sign(headers['webhook-id']!, at, body));
    }
    expect(new Set(endpoint.deliveries.map(({ headers }) => headers['webhook-id'])).size).toBe(3);
    const [created, updated, deleted] = endpoint.events as unknown as { data: Record<string, unknown> }[];
    expect(created?.data).toMatchObject({
      trigger: id,
      connection,
      ...contacts,
      isComplete: true,
      leftFilter: false,
      record: { id: recordId, cells: expect.objectContaining({}) },
    });
    expect(updated?.data['changes']).toContainEqual({
      id: expect.any(String),
      name: 'Phone',
      previous: null,
      current: '12',
    });
    expect(deleted?.data).toMatchObject({ record: null, changes: [] });
    await settled(id);
    const { deliveries: page } = await triggerOf(app, id);
    expect(page.nodes.map(({ status }: { status: string }) => status)).toEqual(Array(3).fill('DELIVERED'));
    expect(page.nodes[2]).toMatchObject({
      id: endpoint.deliveries[0]?.headers['webhook-id'],
      attempts: 1,
      httpStatus: 204,
      error: null,
      event: JSON.parse(endpoint.deliveries[0]!.body),
    });
  });

  test('only the kinds, fields and records that were asked for', async () => {
    const [a, b] = (await addContacts(app, 2)) as [string, string];
    await createTrigger(app, {
      connection,
      endpoint: endpoint.url,
      kinds: ['UPDATED'],
      fields: ['Phone'],
      filter: { field: 'Phone', startsWith: '+' },
    });
    await edit(app, { update: [{ id: a, fields: { Phone: '1' } }] });
    await edit(app, { update: [{ id: b, fields: { Phone: '+1' } }] });
    await edit(app, { update: [{ id: b, fields: { Email: 'b@example.com' } }] });
    await addContacts(app, 1);
    await edit(app, { update: [{ id: b, fields: { Phone: '2' } }] });
    await edit(app, { update: [{ id: a, fields: { Phone: '+3' } }] });
    await deliveries(3);
    const lines = endpoint.events.map(({ type, data }) => `${type} ${data.recordId} ${data['leftFilter']}`);
    expect(lines.filter((line) => line.includes(a))).toEqual([`record.updated ${a} false`]);
    expect(lines.filter((line) => line.includes(b))).toEqual(
      [false, true].map((left) => `record.updated ${b} ${left}`),
    );
  });

  test('losses, as an event of their own', async () => {
    const { id } = await createTrigger(app, { connection, endpoint: endpoint.url });
    const [webhook] = (await app.database.query(`SELECT id FROM webhooks WHERE state = 'active'`)) as {
      id: string;
    }[];
    await app.graphql('mutation ($id: String!) { deleteWebhook(input: { id: $id }) { __typename } }', {
      id: webhook?.id,
    });
    await app.graphql(
      'mutation ($input: CreateWebhookInput!) { createWebhook(input: $input) { __typename } }',
      { input: { connection, baseId: contacts.baseId } },
    );
    await deliveries(1);
    expect(endpoint.events[0]).toMatchObject({
      type: 'changes.lost',
      data: { trigger: id, reason: 'WEBHOOK_GONE', until: expect.any(String) },
    });
  });

  test('a trigger begins with what happens after it was made', async () => {
    const { id: first } = await createTrigger(app, { connection, endpoint: endpoint.url });
    await addContacts(app, 1);
    await deliveries(1);
    await createTrigger(app, { connection, endpoint: endpoint.url });
    const [late] = await addContacts(app, 1);
    await deliveries(3);
    await settled(first);
    expect(told().slice(1)).toEqual(Array(2).fill(`record.created ${late}`));
  });
});

describe('endpoints that hang', () => {
  test('keep no other trigger from going on, also on the same host', async () => {
    const held: (() => void)[] = [];
    const greeted = new Set<string>();
    endpoint.answer = (response, { url }) => {
      const take = (): void => void response.writeHead(204).end();
      if (url === '/quick' || !greeted.has(url)) take();
      else held.push(take);
      greeted.add(url);
    };
    // They were quick until now, so that they get all that an endpoint may have.
    const slow: string[] = [];
    while (slow.length < 6) {
      const url = endpoint.url.replace('hook', `slow-${slow.length}`);
      slow.push((await createTrigger(app, { connection, endpoint: url })).id);
    }
    await addContacts(app, 1);
    await deliveries(slow.length);
    for (const one of slow) await settled(one);
    // All at once: an endpoint that has kept one waiting for a second gets no more.
    await createAtOnce(15);
    await until('all that may be are under way', () => held.length === 60);
    const { id } = await createTrigger(app, { connection, endpoint: endpoint.url.replace('hook', 'quick') });
    const made = await addContacts(app, 15);
    const quick = (): string[] =>
      endpoint.deliveries
        .filter(({ url }) => url === '/quick')
        .map(({ body }) => JSON.parse(body).data.recordId);
    await until('the quick one was told all', () => quick().length >= 15);
    await settled(id);
    expect(quick().sort()).toEqual(made.sort());
    expect(held).toHaveLength(60);
  });

  test('and those that fail are spared what was meant for them', async () => {
    const { id } = await createTrigger(app, { connection, endpoint: endpoint.url });
    await addContacts(app, 1);
    await deliveries(1);
    await settled(id);
    endpoint.answer = status(500);
    await createAtOnce(40);
    const waiting = async (): Promise<number> => (await triggerOf(app, id)).health.waiting;
    await until('all are queued', async () => (await waiting()) === 40);
    const failures = async (): Promise<number> => (await triggerOf(app, id)).health.failuresInRow;
    await until('some have failed', async () => (await failures()) > 0);
    await until('none is under way', async () => (await underWay()) === 0);
    expect(endpoint.deliveries.length - 1).toBeLessThan(20);
    endpoint.reset();
    await wait(minute, id);
    await settled(id);
  });
});

describe('deliveries that are in hand, and not under way', () => {
  /** @returns lets go of ten that are under way, with more in hand behind them */
  async function hold(path: string): Promise<{ id: string; secret: string; letGo: () => void }> {
    const held: (() => void)[] = [];
    const trigger = await createTrigger(app, { connection, endpoint: endpoint.url.replace('/hook', path) });
    await addContacts(app, 1);
    await deliveries(1);
    await settled(trigger.id);
    endpoint.reset();
    endpoint.answer = (response) => held.push(() => response.writeHead(204).end());
    await createAtOnce(20);
    await until('ten are under way', () => held.length === 10);
    const letGo = (): void => {
      endpoint.answer = status(204);
      for (const take of held) take();
    };
    return { ...trigger, letGo };
  }

  test('go to the endpoint, and are signed with the secret, that the trigger has by then', async () => {
    const { id, letGo } = await hold('/former');
    await mutate(
      app,
      'updateTrigger',
      { id, endpoint: endpoint.url.replace('/hook', '/present') },
      'trigger { id }',
    );
    const { secret } = await mutate(app, 'rotateTriggerSecret', { id, overlapHours: 0 }, 'secret');
    letGo();
    await settled(id);
    expect(endpoint.deliveries.filter(({ url }) => url === '/former')).toHaveLength(10);
    const present = endpoint.deliveries.filter(({ url }) => url === '/present');
    expect(present).toHaveLength(10);
    for (const { headers, body } of present) {
      const at = new Date(Number(headers['webhook-timestamp']) * 1_000);
      expect(headers['webhook-signature']).toBe(new Webhook(secret).sign(headers['webhook-id']!, at, body));
    }
  });

  test('are not sent once it is paused', async () => {
    const { id, letGo } = await hold('/paused');
    await mutate(app, 'pauseTrigger', { id }, 'trigger { id }');
    letGo();
    await until('none is under way', async () => (await underWay()) === 0);
    expect(endpoint.deliveries).toHaveLength(10);
    expect((await triggerOf(app, id)).health.waiting).toBe(10);
  });
});

describe('what fails is tried again', () => {
  test('with the same event id, later ones of the record behind it and other records past it', async () => {
    const [a, b] = (await addContacts(app, 2)) as [string, string];
    const { id } = await createTrigger(app, { connection, endpoint: endpoint.url, kinds: ['UPDATED'] });
    endpoint.queued = [status(500, 'no'), status(500, 'no')];
    await edit(app, { update: [{ id: a, fields: { Phone: '1' } }] });
    await deliveries(1);
    await edit(app, { update: [{ id: a, fields: { Phone: '2' } }] });
    await until('the second waits', async () => (await triggerOf(app, id)).health.waiting === 2);
    await edit(app, { update: [{ id: b, fields: { Phone: '3' } }] });
    await failed(id, 2);
    expect(told()).toEqual([a, b].map((one) => `record.updated ${one}`));
    await wait(minute, id);
    await settled(id);
    const phones = endpoint.events.map(
      ({ data }) => (data['changes'] as unknown as { current: string }[])[0]!.current,
    );
    expect(phones.filter((phone) => phone !== '3')).toEqual(['1', '1', '2']);
    expect(phones.filter((phone) => phone === '3')).toEqual(['3', '3']);
    const ids = endpoint.deliveries.map(({ headers }) => headers['webhook-id']);
    expect(new Set(ids).size).toBe(3);
    expect(ids[2 + phones.slice(2).indexOf('1')]).toBe(ids[0]);
  });

  test('whatever the endpoint makes of it, in order for each record, and nothing that it took', async () => {
    const records = await addContacts(app, 2);
    const { id } = await createTrigger(app, { connection, endpoint: endpoint.url, kinds: ['UPDATED'] });
    const taken: string[] = [];
    const left = Object.values(answers);
    endpoint.answer = (response, { body }) => {
      const { isTaken, answer } = left.shift() ?? answers.taken;
      const { recordId, changes } = JSON.parse(body).data;
      if (isTaken) taken.push(`${recordId} ${changes[0].current}`);
      answer(response, endpoint.deliveries.at(-1)!);
    };
    for (const Phone of ['1', '2', '3'])
      await edit(app, { update: records.map((record) => ({ id: record, fields: { Phone } })) });
    const queued = async () =>
      (await app.database.query('SELECT 1 FROM trigger_deliveries WHERE trigger_id = $1', [id])).length;
    // Time that leaps ahead ends every call of the upstream that is under way, a drain's, too.
    await until('all changes are queued', async () => (await queued()) === 6);
    const waiting = async (): Promise<number> => (await triggerOf(app, id)).health.waiting;
    await until('all answers were given', async () => {
      await wait(minute, id);
      return left.length === 0 && (await waiting()) === 0;
    });
    for (const record of records)
      expect(taken.filter((one) => one.startsWith(record))).toEqual(
        ['1', '2', '3'].map((phone) => `${record} ${phone}`),
      );
    const bodies = new Map(endpoint.deliveries.map(({ headers, body }) => [headers['webhook-id'], body]));
    expect(bodies.size).toBe(taken.length);
    for (const { headers, body } of endpoint.deliveries) expect(body).toBe(bodies.get(headers['webhook-id']));
  });

  test('as late as the endpoint asks for', async () => {
    const { id } = await createTrigger(app, { connection, endpoint: endpoint.url });
    endpoint.queued = [status(503, 'later', { 'retry-after': '1200' })];
    await addContacts(app, 1);
    await until('it failed', async () => (await triggerOf(app, id)).deliveries.nodes[0]?.attempts === 1);
    const [delivery] = (await triggerOf(app, id)).deliveries.nodes;
    expect(delivery).toMatchObject({
      status: 'WAITING',
      httpStatus: 503,
      answer: 'later',
      error: { code: 'ENDPOINT_REFUSED' },
    });
    expect(Date.parse(delivery.nextAttemptAt) - clock.now()).toBeGreaterThanOrEqual(1_200_000 - 1_000);
    await wait(21 * minute, id);
    await settled(id);
  });

  test('for three days, then it is parked and the next of its record goes', async () => {
    const [record] = (await addContacts(app, 1)) as [string];
    const { id } = await createTrigger(app, { connection, endpoint: endpoint.url, kinds: ['UPDATED'] });
    endpoint.answer = (response, { body }) =>
      response.writeHead(body.includes('"poison"') && !body.includes('"cure"') ? 500 : 204).end();
    await edit(app, { update: [{ id: record, fields: { Phone: 'poison' } }] });
    await deliveries(1);
    await edit(app, { update: [{ id: record, fields: { Phone: 'cure' } }] });
    await until('it waits', async () => (await triggerOf(app, id)).health.waiting === 2);
    for (const failures of [1, 2, 3]) {
      await failed(id, failures);
      await wait(25 * hour, id);
    }
    await settled(id);
    const { nodes } = (await triggerOf(app, id)).deliveries;
    expect(nodes.map(({ status }: { status: string }) => status)).toEqual(['DELIVERED', 'PARKED']);
    expect(nodes[1]).toMatchObject({
      error: { code: 'ENDPOINT_REFUSED' },
      httpStatus: 500,
      nextAttemptAt: null,
    });
  });

  test('for three days of its own after a pause, so that nothing overtakes it then', async () => {
    const [record] = (await addContacts(app, 1)) as [string];
    const { id } = await createTrigger(app, { connection, endpoint: endpoint.url, kinds: ['UPDATED'] });
    endpoint.queued = [status(500), status(500)];
    await edit(app, { update: [{ id: record, fields: { Phone: '1' } }] });
    await failed(id, 1);
    await edit(app, { update: [{ id: record, fields: { Phone: '2' } }] });
    await until('it waits', async () => (await triggerOf(app, id)).health.waiting === 2);
    await mutate(app, 'pauseTrigger', { id }, 'trigger { id }');
    await wait(96 * hour, id);
    await mutate(app, 'resumeTrigger', { id }, 'trigger { id }');
    await deliveries(2);
    await failed(id, 1);
    await wait(minute, id);
    await settled(id);
    const phones = endpoint.events.map(
      ({ data }) => (data['changes'] as unknown as { current: string }[])[0]!.current,
    );
    expect(phones).toEqual(['1', '1', '1', '2']);
    const { nodes } = (await triggerOf(app, id)).deliveries;
    expect(nodes).toMatchObject([{ attempts: 1 }, { attempts: 3, status: 'DELIVERED' }]);
  });

  test('a receiver that is killed for an hour misses nothing, and is told nothing again that it had taken', async () => {
    const records = (await addContacts(app, 3)) as [string, string, string];
    const { id } = await createTrigger(app, { connection, endpoint: endpoint.url, kinds: ['UPDATED'] });
    let made = 0;
    const changeAll = async (): Promise<void> => {
      made += 1;
      const update = records.map((record) => ({ id: record, fields: { Phone: String(made) } }));
      await edit(app, { update });
    };
    await changeAll();
    await deliveries(3);
    await settled(id);
    // It dies with deliveries in its hands, of which nobody knows whether it took them.
    endpoint.answer = (response) => response.socket?.destroy();
    await changeAll();
    await until('it has them in its hands', () => endpoint.deliveries.length >= 4);
    await endpoint.close();
    for (let tenMinutes = 0; tenMinutes < 6; tenMinutes += 1) {
      const { failuresInRow } = (await triggerOf(app, id)).health;
      await changeAll();
      await wait(10 * minute, id);
      await until(
        'it was tried',
        async () => (await triggerOf(app, id)).health.failuresInRow > failuresInRow,
      );
    }
    await until('nothing is under way', async () => (await underWay()) === 0);
    const waiting = records.length * (made - 1);
    await until('all waits', async () => (await triggerOf(app, id)).health.waiting === waiting);
    endpoint.answer = (response) => response.writeHead(204).end();
    await endpoint.start();
    await wait(10 * minute, id);
    await settled(id);
    expect((await triggerOf(app, id)).health).toMatchObject({ failuresInRow: 0, failingSince: null });

    const phonesOf = new Map<string, string[]>();
    const idOf = new Map<string, string>();
    for (const [place, { data }] of endpoint.events.entries()) {
      const { current } = (data['changes'] as unknown as { current: string }[])[0]!;
      const eventId = endpoint.deliveries[place]!.headers['webhook-id']!;
      const change = `${data.recordId} ${current}`;
      // Whatever is told of a change has the same event id.
      expect(idOf.get(change) ?? eventId).toBe(eventId);
      idOf.set(change, eventId);
      phonesOf.set(data.recordId!, [...(phonesOf.get(data.recordId!) ?? []), current]);
    }
    const all = Array.from({ length: made }, (_, index) => String(index + 1));
    for (const record of records) {
      const phones = phonesOf.get(record)!;
      expect(phones).toEqual(phones.toSorted((a, b) => Number(a) - Number(b)));
      expect([...new Set(phones)]).toEqual(all);
      // Only what was in its hands when it died is told again, and never what it had taken.
      expect(phones.filter((phone) => phone === '1')).toHaveLength(1);
      for (const phone of all.slice(2)) expect(phones.filter((one) => one === phone)).toHaveLength(1);
    }
  });

  test('an endpoint that is gone pauses its trigger, which goes on when it is resumed', async () => {
    const { id } = await createTrigger(app, { connection, endpoint: endpoint.url });
    endpoint.queued = [status(410)];
    const [a] = await addContacts(app, 1);
    await until('it is paused', async () => (await triggerOf(app, id)).state === 'PAUSED');
    expect(await triggerOf(app, id)).toMatchObject({ pausedBecause: 'ENDPOINT_GONE' });
    const [b] = await addContacts(app, 1);
    await mutate(app, 'resumeTrigger', { id }, 'trigger { id }');
    await settled(id);
    await deliveries(3);
    const [first, ...others] = told();
    expect(first).toBe(`record.created ${a}`);
    // Of two records, either may come first.
    expect(others.sort()).toEqual([a, b].map((one) => `record.created ${one}`).sort());
    const entries = await app.database.query(
      `SELECT action, outcome FROM audit_entries WHERE actor_id = 'server' AND target = $1`,
      [`trigger:${id}`],
    );
    expect(entries).toEqual([{ action: 'pauseTrigger', outcome: 'ENDPOINT_GONE' }]);
  });
});

describe('an endpoint that keeps failing', () => {
  test('raises an alert, is paused after a day, and gets what waits when it is resumed', async () => {
    const { id } = await createTrigger(app, { connection, endpoint: endpoint.url });
    endpoint.answer = status(500, 'no');
    const [record] = await addContacts(app, 1);
    await failed(id, 1);
    // As after many more: each takes a minute.
    const goOn = async (failures: number, ms: number): Promise<void> => {
      await app.database.query('UPDATE trigger_health SET failures_in_row = $1', [failures - 1]);
      await wait(ms, id);
      await failed(id, failures);
    };
    await goOn(19, 11 * minute);
    expect(await alertsOf(app, connection)).toEqual([]);
    await goOn(20, 10 * minute);
    await until('the alert', async () => (await alertsOf(app, connection)).join() === 'ENDPOINT_FAILING');
    const { data } = await app.graphql('{ alerts { nodes { triggerId message } } }');
    expect(data.alerts.nodes).toEqual([{ triggerId: id, message: expect.stringContaining(id) }]);
    expect((await triggerOf(app, id)).state).toBe('ACTIVE');
    // Whoever resumes one that runs has it tried, and the endpoint is as long down as it was.
    const { failingSince } = (await triggerOf(app, id)).health;
    await mutate(app, 'resumeTrigger', { id }, 'trigger { state }');
    await failed(id, 21);
    expect((await triggerOf(app, id)).health.failingSince).toBe(failingSince);
    await goOn(50, 24 * hour);
    await until('the pause', async () => (await triggerOf(app, id)).pausedBecause === 'ENDPOINT_FAILING');
    endpoint.reset();
    await mutate(app, 'resumeTrigger', { id }, 'trigger { state problem }');
    await settled(id);
    expect(told()).toEqual([`record.created ${record}`]);
  });

  test.each([410, 500])(
    'pauses no trigger that has another endpoint by the time of its %i, and that one is judged by itself',
    async (late) => {
      const url = (path: string): string => endpoint.url.replace('/hook', path);
      const { id } = await createTrigger(app, { connection, endpoint: url('/former') });
      endpoint.queued = [status(500)];
      await addContacts(app, 1);
      await failed(id, 1);
      // As after a day of failures, with the next one under way.
      await app.database.query('UPDATE trigger_health SET failures_in_row = 50');
      let answer: (() => void) | null = null;
      endpoint.queued = [(response) => void (answer = () => response.writeHead(late).end()), status(500)];
      await wait(25 * hour, id);
      await until('it is under way', () => answer !== null);
      clock.advance(1_000);
      await mutate(app, 'updateTrigger', { id, endpoint: url('/present') }, 'trigger { id }');
      answer!();
      await failed(id, 1);
      await wait(minute, id);
      await failed(id, 2);
      await wait(minute, id);
      await settled(id);
      const paths = endpoint.deliveries.map(({ url: path }) => path);
      expect(paths).toEqual(['/former', '/former', '/present', '/present']);
      expect((await triggerOf(app, id)).state).toBe('ACTIVE');
    },
  );

  test('what it has not taken within three days can be made again, and so can anything else', async () => {
    const { id } = await createTrigger(app, { connection, endpoint: endpoint.url });
    endpoint.queued = [status(500), status(500), status(500)];
    const [record] = await addContacts(app, 1);
    await failed(id, 1);
    await wait(73 * hour, id);
    await until('it is parked', async () => (await triggerOf(app, id)).health.parked === 1);
    const replay = (deliveries?: string[]) =>
      mutate(app, 'replayDeliveries', { id, deliveries }, 'replayed').then(
        ({ replayed }) => replayed as number,
      );
    // As after many more, each later than the one before.
    await app.database.query('UPDATE trigger_deliveries SET attempts = 40');
    expect(await replay()).toBe(1);
    await failed(id, 3);
    const [again] = (await triggerOf(app, id)).deliveries.nodes;
    expect(again).toMatchObject({ status: 'WAITING', attempts: 41 });
    expect(Date.parse(again.nextAttemptAt) - clock.now()).toBeLessThanOrEqual(6_000);
    await wait(minute, id);
    await settled(id);
    expect(await replay()).toBe(0);
    const [{ id: eventId }] = (await triggerOf(app, id)).deliveries.nodes;
    expect(await replay([eventId, 'evt_unknown'])).toBe(1);
    await deliveries(5);
    await settled(id);
    expect(told()).toEqual(Array(5).fill(`record.created ${record}`));
    expect(new Set(endpoint.deliveries.map(({ headers }) => headers['webhook-id']))).toEqual(
      new Set([eventId]),
    );
  });
});

describe('instances', () => {
  test('three of them make one delivery of each change, also when one is closed in the middle', async () => {
    const others = await Promise.all([app.another(), app.another()]);
    try {
      const { id } = await createTrigger(app, { connection, endpoint: endpoint.url });
      const made = await addContacts(app, 10);
      await others[0].close();
      made.push(...(await addContacts(app, 10)));
      await deliveries(20);
      await settled(id);
      expect(told().sort()).toEqual(made.map((one) => `record.created ${one}`).sort());
    } finally {
      await others[1].close();
    }
  });

  test('one that died after the endpoint took it has it told again, with the same event id', async () => {
    const { id } = await createTrigger(app, { connection, endpoint: endpoint.url });
    await addContacts(app, 1);
    await deliveries(1);
    await settled(id);
    // As it is left by a process that was killed between the answer and its storing.
    await app.database.query(
      `UPDATE trigger_deliveries SET status = 'WAITING', finished_at = NULL, lease_holder = gen_random_uuid(),
              lease_until = clock_timestamp() - interval '1 s'`,
    );
    await lookNow(app, id);
    await deliveries(2);
    await settled(id);
    const [first, again] = endpoint.deliveries;
    expect(again?.headers['webhook-id']).toBe(first?.headers['webhook-id']);
    expect(again?.body).toBe(first?.body);
  });

  test('one that serves requests alone delivers nothing', async () => {
    const web = await app.another({ role: 'web' });
    try {
      const { id } = await createTrigger(web, { connection, endpoint: endpoint.url });
      await lookNow(app, id);
      await addContacts(app, 1);
      await deliveries(1);
      expect(web.logs.text).not.toContain('trigger_deliveries');
    } finally {
      await web.close();
    }
  });
});

describe('managing triggers', () => {
  test('hostile endpoints are refused at once, or when they are connected to', async () => {
    const { id } = await createTrigger(app, { connection, endpoint: endpoint.url });
    const strict = await app.another({ endpoints: { allowedHosts: [], requireHttps: false, lookup: null } });
    try {
      for (const template of hostileUrls.slice(0, 40)) {
        const url = template.replaceAll('PORT', String(endpoint.port));
        const refused = await mutate(strict, 'updateTrigger', { id, endpoint: url }, 'trigger { id }').then(
          () => null,
          (error: Error) => error.message,
        );
        if (refused !== null) {
          expect(refused).toContain('INVALID_INPUT');
          continue;
        }
        const tested = await mutate(strict, 'testTrigger', { id }, 'delivered error { code }');
        expect({ url, ...tested }).toMatchObject({ delivered: false, error: { code: 'ENDPOINT_FORBIDDEN' } });
      }
      expect(endpoint.sockets).toBe(0);
    } finally {
      await strict.close();
    }
  });

  test('faults of a form are told together', async () => {
    const wrong = { name: ' ', endpoint: 'ftp://example.com', kinds: [] };
    await expect(createTrigger(app, { connection, ...wrong })).rejects.toThrow(/InvalidInputError/);
    const { data } = await app.graphql(
      'mutation ($input: CreateTriggerInput!) { createTrigger(input: $input) { ... on InvalidInputError { faults { path } } } }',
      { input: { connection, ...contacts, ...wrong } },
    );
    expect(data.createTrigger.faults.map(({ path }: { path: string[] }) => path.join())).toEqual([
      'name',
      'endpoint',
      'kinds',
    ]);
    for (const [place, code] of [
      [{ tableId: 'Contcats' }, 'TABLE_NOT_FOUND'],
      [{ fields: ['Phon'] }, 'FIELD_NOT_FOUND'],
      [{ filter: { field: 'Phone', gt: 3 } }, 'FIELD_TYPE_MISMATCH'],
    ] as const)
      await expect(createTrigger(app, { connection, endpoint: endpoint.url, ...place })).rejects.toThrow(
        code,
      );
  });

  test('one that is paused tells nothing, and afterwards everything', async () => {
    const { id } = await createTrigger(app, { connection, endpoint: endpoint.url });
    await addContacts(app, 1);
    await deliveries(1);
    await settled(id);
    // What it has told before is told once.
    endpoint.reset();
    await mutate(app, 'pauseTrigger', { id }, 'trigger { state pausedBecause }');
    const made = await addContacts(app, 2);
    expect(await triggerOf(app, id)).toMatchObject({ state: 'PAUSED', pausedBecause: 'BY_HAND' });
    expect(endpoint.deliveries).toEqual([]);
    await mutate(app, 'resumeTrigger', { id }, 'trigger { id }');
    await deliveries(2);
    await settled(id);
    expect(told().sort()).toEqual(made.map((one) => `record.created ${one}`).sort());
  });

  test('an edit holds for what was not read yet, and a deletion ends all', async () => {
    const elsewhere = await new EndpointServer().start();
    const { id } = await createTrigger(app, { connection, endpoint: endpoint.url, kinds: ['DELETED'] });
    const { trigger } = await mutate(
      app,
      'updateTrigger',
      { id, endpoint: elsewhere.url, kinds: null, name: 'Another' },
      'trigger { name kinds endpoint }',
    );
    expect(trigger).toEqual({ name: 'Another', kinds: null, endpoint: elsewhere.url });
    await addContacts(app, 1);
    await until('it came elsewhere', () => elsewhere.deliveries.length === 1);
    await mutate(app, 'deleteTrigger', { id }, 'id');
    await expect(triggerOf(app, id)).rejects.toThrow('TRIGGER_NOT_FOUND');
    expect(await app.database.query('SELECT 1 FROM trigger_deliveries')).toEqual([]);
    await elsewhere.close();
  });

  test('a new secret and the former one are both signed with, for as long as was asked', async () => {
    const { id, secret: older } = await createTrigger(app, { connection, endpoint: endpoint.url });
    const rotate = (overlapHours: number) =>
      mutate(app, 'rotateTriggerSecret', { id, overlapHours }, 'secret').then(
        ({ secret }) => secret as string,
      );
    const newer = await rotate(2);
    const signedWith = (secrets: string[]): boolean[] => {
      const { headers, body } = endpoint.deliveries.at(-1)!;
      const at = new Date(Number(headers['webhook-timestamp']) * 1_000);
      const signatures = headers['webhook-signature']!.split(' ');
      return secrets.map((one) =>
        signatures.includes(new Webhook(one).sign(headers['webhook-id']!, at, body)),
      );
    };
    const test = () => mutate(app, 'testTrigger', { id }, 'delivered httpStatus durationMs error { code }');
    expect(await test()).toMatchObject({ delivered: true, httpStatus: 204, error: null });
    expect(endpoint.events[0]).toMatchObject({ type: 'test', data: { trigger: id } });
    expect(signedWith([newer, older])).toEqual([true, true]);
    await wait(2 * hour + minute, id);
    await until('the former one is forgotten', async () => {
      const [row] = await app.database.query('SELECT previous_secret, previous_until FROM trigger_secrets');
      return row?.['previous_secret'] === null && row['previous_until'] === null;
    });
    await test();
    expect(signedWith([newer, older])).toEqual([true, false]);
    const newest = await rotate(0);
    await test();
    expect(signedWith([newest, newer, older])).toEqual([true, false, false]);
    const stored = JSON.stringify(await app.database.query('SELECT * FROM trigger_secrets'));
    for (const secret of [older, newer, newest]) {
      expect(stored).not.toContain(secret.slice(6));
      expect(app.logs.text).not.toContain(secret.slice(6));
    }
  });

  test('a connection that goes away pauses its triggers, and they go on with it', async () => {
    const leaving = await app.connect({ name: 'Leaving' });
    const { id } = await createTrigger(app, { connection: leaving, endpoint: endpoint.url });
    await app.database.query(`UPDATE connections SET state = 'disconnected' WHERE id = $1`, [leaving]);
    await lookNow(app, id);
    await until('it is paused', async () => (await triggerOf(app, id)).pausedBecause === 'CONNECTION_AWAY');
    const [record] = await addContacts(app, 1);
    await app.database.query(`UPDATE connections SET state = 'connected' WHERE id = $1`, [leaving]);
    await checkNow(app, id);
    await until('it goes on', async () => (await triggerOf(app, id)).state === 'ACTIVE');
    await deliveries(1);
    expect(told()).toEqual([`record.created ${record}`]);
    await app.graphql(
      'mutation ($id: Int!) { deleteConnection(input: { connection: $id }) { __typename } }',
      { id: leaving },
    );
    await expect(triggerOf(app, id)).rejects.toThrow('TRIGGER_NOT_FOUND');
  });

  test('a field of the filter that is deleted pauses the trigger until it gets another filter', async () => {
    await control(app.sandbox.url, 'schema', {
      baseId: contacts.baseId,
      addField: { tableId: contacts.tableId, name: 'Passing', type: 'singleLineText' },
    });
    // The schema that is known is old enough to be doubted.
    clock.advance(minute);
    const filter = { field: 'Passing', isEmpty: true };
    const { id } = await createTrigger(app, { connection, endpoint: endpoint.url, filter });
    await control(app.sandbox.url, 'schema', {
      baseId: contacts.baseId,
      removeField: { tableId: contacts.tableId, fieldId: 'Passing' },
    });
    await until('it is paused', async () => (await triggerOf(app, id)).pausedBecause === 'FILTER_OUTDATED');
    const [record] = await addContacts(app, 1);
    await mutate(app, 'updateTrigger', { id, filter: null }, 'trigger { id state }');
    await deliveries(1);
    expect(told()).toEqual([`record.created ${record}`]);
  });

  test('fields that are deleted are watched no more, and with the last one it is paused', async () => {
    const { baseId, tableId } = contacts;
    const schema = (change: object) => control(app.sandbox.url, 'schema', { baseId, ...change });
    for (const name of ['First', 'Second'])
      await schema({ addField: { tableId, name, type: 'singleLineText' } });
    clock.advance(minute);
    const fields = ['First', 'Second'];
    const { id } = await createTrigger(app, { connection, endpoint: endpoint.url, fields });
    const watched = (await triggerOf(app, id)).fields;
    await schema({ removeField: { tableId, fieldId: 'First' } });
    await until('it watches the other', async () => (await triggerOf(app, id)).fields.length === 1);
    expect(await triggerOf(app, id)).toMatchObject({ fields: watched.slice(1), state: 'ACTIVE' });
    await schema({ removeField: { tableId, fieldId: 'Second' } });
    await until('it is paused', async () => (await triggerOf(app, id)).pausedBecause === 'FIELD_DELETED');
    const renamed = await mutate(app, 'updateTrigger', { id, name: 'Renamed' }, 'trigger { name state }');
    expect(renamed.trigger).toEqual({ name: 'Renamed', state: 'PAUSED' });
    const [record] = await addContacts(app, 1);
    await mutate(app, 'updateTrigger', { id, fields: null }, 'trigger { id }');
    await deliveries(1);
    expect(told()).toEqual([`record.created ${record}`]);
  });

  test('a table that is deleted pauses its trigger', async () => {
    const { baseId } = contacts;
    const fields = [{ name: 'Name', type: 'singleLineText' }];
    const { tableId } = await control<{ tableId: string }>(app.sandbox.url, 'schema', {
      baseId,
      addTable: { name: 'Passing', fields },
    });
    clock.advance(minute);
    const { id } = await createTrigger(app, { connection, endpoint: endpoint.url, tableId });
    await control(app.sandbox.url, 'schema', { baseId, removeTable: { tableId } });
    await until('it is paused', async () => (await triggerOf(app, id)).pausedBecause === 'TABLE_DELETED');
    expect((await triggerOf(app, id)).problem).toContain('deleted');
  });
});
