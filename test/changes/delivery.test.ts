import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { WebSocket } from 'ws';
import { startTestApp, type TestApp } from '../support/app.ts';
import { EventStream } from './event-stream.ts';
import { Subscriber, until, type Event } from './subscriber.ts';
import { addContacts, crm, edit, ledger, ledgerEnd, told } from './upstream-edits.ts';

/** Time that has passed beyond what did, in milliseconds. */
let aheadMs = 0;
let app: TestApp;
let connection: number;

beforeAll(async () => {
  app = await startTestApp({ clock: { now: () => Date.now() + aheadMs } });
  connection = await app.connect();
});
afterAll(() => app.close());

const listening = (fields: string) => `subscription ($connection: Int!, $baseId: String!, $after: Cursor) {
  recordChanges(connection: $connection, baseId: $baseId, after: $after) {
    __typename ... on RecordChange { kind recordId ${fields} }
  }
}`;
const plain = listening('');
/** A megabyte for a cell of 100,000 characters. */
const long = listening(Array.from({ length: 10 }, (_, index) => `f${index}: fields { current }`).join(' '));

const variables = (more: object = {}) => ({ connection, baseId: crm.baseId, ...more });

async function counted(name: string): Promise<number> {
  return Number(new RegExp(`^omnera_calendly_${name} (\\d+)$`, 'm').exec(await app.app.metrics.text())?.[1]);
}

/** Makes long changes, each of which `reader` reads, until one is sent to nobody else. */
async function writeUntilAlone(reader: Subscriber): Promise<void> {
  for (let count = 1; count <= 40; count += 1) {
    const sent = await counted('subscription_events_sent_total');
    await edit(app, { create: [{ fields: { Name: 'x'.repeat(100_000) } }] });
    const before = reader.changes.length;
    await until(() => reader.changes.length > before);
    if ((await counted('subscription_events_sent_total')) === sent + 1) return;
  }
  throw new Error('Everything was sent to somebody who reads nothing.');
}

it('gives the frames of an event stream their cursor as id, and goes on behind Last-Event-ID', async () => {
  const first = await new EventStream(app, plain, variables()).started();
  const ids = await addContacts(app, 4);
  await until(() => first.changes.length === 4);
  first.cut();
  expect(first.frames.every(({ event, id }) => event === 'next' && id !== undefined)).toBe(true);
  const [, , second, , last] = first.frames;
  const headers = { 'last-event-id': second?.id ?? '' };
  const resumed = await new EventStream(app, plain, variables({ after: last?.id }), headers).started();
  await until(() => resumed.changes.length === 2);
  resumed.cut();
  expect(told(resumed.changes)).toEqual(ids.slice(2).map((id) => `created ${id}`));
  expect(resumed.frames[0]?.id).toBe(second?.id);

  const refused = new EventStream(app, plain, variables(), { 'last-event-id': 'nonsense' });
  await until(() => refused.end !== null);
  expect(refused.results[0]?.errors?.[0]?.extensions.code).toBe('CURSOR_INVALID');
});

it('closes a WebSocket that takes nothing with 1013, holds up nobody, and lets it resume', async () => {
  const start = await ledgerEnd(app);
  const reader = await new Subscriber(app, variables(), long).started();
  const slow = new WebSocket(`${app.url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws');
  const heard: { id?: string; payload?: { data: { recordChanges: Event } } }[] = [];
  slow.on('message', (text: Buffer) => heard.push(JSON.parse(text.toString()) as (typeof heard)[number]));
  const closed = new Promise<number>((resolve) => slow.on('close', resolve));
  const hello = { type: 'connection_init', payload: { authorization: `Bearer ${app.adminKey}` } };
  slow.on('open', () => slow.send(JSON.stringify(hello)));
  await until(() => heard.length === 1);
  const payload = { query: long.replace('kind', 'kind cursor'), variables: variables() };
  slow.send(JSON.stringify({ id: 'slow', type: 'subscribe', payload }));
  await until(() => heard.some(({ id }) => id === 'slow'));
  slow.pause();
  await writeUntilAlone(reader);
  const closings = await counted('slow_subscribers_closed_total');
  aheadMs += 9_000;
  await until(async () => (await counted('slow_subscribers_closed_total')) === closings + 1);
  slow.resume();
  expect(await closed).toBe(1013);

  const changes = heard
    .flatMap(({ payload }) => payload?.data.recordChanges ?? [])
    .filter(({ kind }) => kind);
  const resumed = new Subscriber(app, variables({ after: changes.at(-1)?.cursor }), long);
  const expected = await ledger(app, start);
  await until(() => changes.length + resumed.changes.length >= expected.length);
  expect([...told(changes), ...told(resumed.changes)]).toEqual(expected);
  await Promise.all([reader.cut(), resumed.cut()]);
});

it('cuts an event stream whose client takes nothing, and lets it resume', async () => {
  const start = await ledgerEnd(app);
  const reader = await new Subscriber(app, variables(), long).started();
  const slow = await new EventStream(app, long, variables()).started();
  slow.response?.pause();
  await writeUntilAlone(reader);
  const closings = await counted('slow_subscribers_closed_total');
  aheadMs += 9_000;
  await until(async () => (await counted('slow_subscribers_closed_total')) === closings + 1);
  slow.response?.resume();
  await until(() => slow.end !== null);
  expect(slow.end).toBe('cut');
  const headers = { 'last-event-id': slow.frames.at(-1)?.id ?? '' };
  const resumed = new EventStream(app, long, variables(), headers);
  const expected = await ledger(app, start);
  await until(() => slow.changes.length + resumed.changes.length >= expected.length);
  expect([...told(slow.changes), ...told(resumed.changes)]).toEqual(expected);
  resumed.cut();
  await reader.cut();
});
