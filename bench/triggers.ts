import { setTimeout } from 'node:timers/promises';
import type { Child } from './child.ts';
import { baseId, tableId } from './contacts.ts';
import { DeliveryReceiver, type Received } from './delivery-receiver.ts';
import { moment } from './moment.ts';
import { columns, median, quantile, thousands } from './report.ts';
import { editContacts } from './sandbox-edits.ts';
import type { Posts } from './servers/bare-sender.ts';
import { onStage, type Stage } from './stage.ts';

export const triggers = 'triggers';
export const explainTriggers = 'from a change to its signed delivery, and a backlog of 2,000, under a minute';

/** So many changes at this pace, of so many records in turn. */
const paced = { rounds: 3, warmUp: 100, changes: 300, everyMs: 10, records: 100 };
/** Each transaction changes all records once. */
const backlog = { rounds: 3, records: 200, transactions: 10 };
/** Deliveries that ours makes at a time to one endpoint; the bare loop does the same. */
const atATime = 10;
const patienceMs = 30_000;

interface Sent {
  times: number[];
  cpuMs: number[];
  bytes: number[];
}

export async function benchTriggers(profileDir: string | null): Promise<void> {
  const receiver = new DeliveryReceiver();
  try {
    await onStage((stage) => play(stage, receiver), profileDir);
  } finally {
    await receiver.close();
  }
}

async function play({ sandbox, start }: Stage, receiver: DeliveryReceiver): Promise<void> {
  const endpoint = await receiver.start();
  const ours = await start('ours-with-log.ts');
  const bare = await start('bare-sender.ts');
  const { created } = await editContacts(sandbox.url, {
    create: Array.from({ length: backlog.records }, (_, index) => ({
      fields: { Name: `Ada Lovelace ${index}`, Email: 'ada@example.com', Status: 'Lead' },
    })),
  });
  const trigger = await createTrigger(ours, endpoint);
  const bench = { sandbox, ours, bare, receiver, endpoint, records: created, trigger, edits: new Edits() };
  await atAPace(bench);
  await aBacklog(bench);
}

interface Bench {
  sandbox: Child;
  ours: Child;
  bare: Child;
  receiver: DeliveryReceiver;
  endpoint: string;
  records: string[];
  trigger: { id: string; secret: string };
  edits: Edits;
}

/** From sending an edit, or from signing a body, until its delivery has been received. */
async function atAPace(bench: Bench): Promise<void> {
  const { bare, receiver, trigger } = bench;
  const [ours, loop] = [empty(), empty()];
  for (let round = -1; round < paced.rounds; round += 1) {
    const count = round < 0 ? paced.warmUp : paced.changes;
    const cpu = await bench.ours.ask<number>('cpuMs');
    const begun = await editInTurn(bench, count);
    const told = await receiver.take('ours', count, trigger.secret);
    const spent = (await bench.ours.ask<number>('cpuMs')) - cpu;
    bench.edits.requireOrder(told);

    const cpuOfLoop = await bare.ask<number>('cpuMs');
    const posts: Posts = { ...given(bench, told), pace: { everyMs: paced.everyMs } };
    const begunByLoop = await bare.ask<number[]>('post', posts);
    const posted = await receiver.take('the bare loop', count, trigger.secret);
    const spentByLoop = (await bare.ask<number>('cpuMs')) - cpuOfLoop;
    if (round < 0) continue;
    ours.times.push(...told.map((one) => one.at - begun.get(valueOf(one))!));
    ours.cpuMs.push(spent / count);
    ours.bytes.push(...told.map(({ body }) => Buffer.byteLength(body)));
    const places = new Map(told.map(({ id }, index) => [id, index]));
    loop.times.push(...posted.map(({ id, at }) => at - begunByLoop[places.get(id)!]!));
    loop.cpuMs.push(spentByLoop / count);
  }
  const rows = [
    ['ours, edit to delivery', ours] as const,
    ['bare loop, signing to delivery', loop] as const,
  ].map(([label, { times, cpuMs }]) => {
    const sorted = times.toSorted((a, b) => a - b);
    return [
      label,
      quantile(sorted, 0.5).toFixed(2),
      quantile(sorted, 0.99).toFixed(2),
      median(cpuMs).toFixed(2),
    ];
  });
  console.log(
    `\n## ${1_000 / paced.everyMs} changes a second\n\n${paced.rounds} × ${paced.changes} changes of ${paced.records} records; median body ${thousands(median(ours.bytes))} bytes. All deliveries verified.\n\n${columns(['', 'p50 ms', 'p99 ms', 'CPU ms each'], rows)}`,
  );
}

/** From asking that the trigger go on, or from the first signature, until the last delivery has been received. */
async function aBacklog(bench: Bench): Promise<void> {
  const { sandbox, bare, receiver, trigger, records, edits } = bench;
  const count = backlog.records * backlog.transactions;
  const [ours, loop] = [empty(), empty()];
  for (let round = -1; round < backlog.rounds; round += 1) {
    await mutate(bench.ours, 'pauseTrigger', { id: trigger.id }, 'trigger { id }');
    const logged = (await loggedChanges(bench.ours)) + count;
    for (let transaction = 0; transaction < backlog.transactions; transaction += 1) {
      const update = records.map((id) => ({ id, fields: { Name: edits.next() } }));
      const edited = await editContacts(sandbox.url, { update });
      for (const { fields } of update) edits.made(fields.Name, edited.transaction);
    }
    await until('the log has the changes', async () => (await loggedChanges(bench.ours)) >= logged);

    const cpu = await bench.ours.ask<number>('cpuMs');
    const askedAt = moment();
    await mutate(bench.ours, 'resumeTrigger', { id: trigger.id }, 'trigger { id }');
    const told = await receiver.take('ours', count, trigger.secret);
    const spent = (await bench.ours.ask<number>('cpuMs')) - cpu;
    edits.requireOrder(told);

    const cpuOfLoop = await bare.ask<number>('cpuMs');
    const begun = await bare.ask<number[]>('post', {
      ...given(bench, told),
      pace: { atATime },
    } satisfies Posts);
    const posted = await receiver.take('the bare loop', count, trigger.secret);
    const spentByLoop = (await bare.ask<number>('cpuMs')) - cpuOfLoop;
    if (round < 0) continue;
    ours.times.push(lastOf(told) - askedAt);
    ours.cpuMs.push(spent / count);
    loop.times.push(lastOf(posted) - Math.min(...begun));
    loop.cpuMs.push(spentByLoop / count);
  }
  const rate = ({ times }: Sent): number => count / (median(times) / 1_000);
  const rows = [
    [
      'ours, from the log',
      thousands(rate(ours)),
      median(ours.cpuMs).toFixed(2),
      (rate(ours) / rate(loop)).toFixed(2),
    ],
    [`bare loop, ${atATime} at a time`, thousands(rate(loop)), median(loop.cpuMs).toFixed(2), '·'],
  ];
  console.log(
    `\n## A backlog of ${thousands(count)} changes\n\nMedian of ${backlog.rounds}. All deliveries verified.\n\n${columns(['', 'deliveries/s', 'CPU ms each', '÷ bare loop'], rows)}`,
  );
}

/** Changes one record after the other at the pace, however long the sandbox takes. @returns when each was begun, by its value */
async function editInTurn({ sandbox, records, edits }: Bench, count: number): Promise<Map<string, number>> {
  const begun = new Map<string, number>();
  const editing: Promise<void>[] = [];
  const startedAt = moment();
  for (let index = 0; index < count; index += 1) {
    await setTimeout(Math.max(0, startedAt + index * paced.everyMs - moment()));
    const value = edits.next();
    begun.set(value, moment());
    const update = [{ id: records[index % paced.records], fields: { Name: value } }];
    editing.push(
      editContacts(sandbox.url, { update }).then(({ transaction }) => edits.made(value, transaction)),
    );
  }
  await Promise.all(editing);
  return begun;
}

/** The values that were written, and in which order the sandbox took them. */
class Edits {
  #count = 0;
  readonly #transactions = new Map<string, number>();

  next(): string {
    return `Grace Hopper ${(this.#count += 1)}`;
  }

  made(value: string, transaction: number): void {
    this.#transactions.set(value, transaction);
  }

  /** @throws Error unless each tells a change that was made, and those of a record come in the order of the sandbox */
  requireOrder(told: Received[]): void {
    const last = new Map<string, number>();
    for (const one of told) {
      const { recordId } = dataOf(one);
      const transaction = this.#transactions.get(valueOf(one));
      if (transaction === undefined || transaction <= (last.get(recordId) ?? 0))
        throw new Error(`${valueOf(one)} was told out of order, or never made`);
      last.set(recordId, transaction);
    }
  }
}

interface Data {
  recordId: string;
  changes: { name: string; current: unknown }[];
}

function dataOf({ body }: Received): Data {
  return (JSON.parse(body) as { data: Data }).data;
}

function valueOf(one: Received): string {
  return String(dataOf(one).changes.find(({ name }) => name === 'Name')?.current);
}

function given({ endpoint, trigger }: Bench, told: Received[]): Omit<Posts, 'pace'> {
  return { url: endpoint, secret: trigger.secret, messages: told.map(({ id, body }) => ({ id, body })) };
}

function lastOf(received: Received[]): number {
  return Math.max(...received.map(({ at }) => at));
}

function empty(): Sent {
  return { times: [], cpuMs: [], bytes: [] };
}

async function loggedChanges(ours: Child): Promise<number> {
  return (await ours.ask<Record<string, number>>('rows'))['changes'] ?? 0;
}

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  const deadline = moment() + patienceMs;
  while (!(await holds())) {
    if (moment() > deadline) throw new Error(`It did not happen that ${what}`);
    await setTimeout(20);
  }
}

async function createTrigger(ours: Child, endpoint: string): Promise<{ id: string; secret: string }> {
  const input = { name: 'Bench', connection: ours.connection, baseId, tableId, kinds: ['UPDATED'], endpoint };
  const { trigger, secret } = await mutate(ours, 'createTrigger', input, 'secret trigger { id }');
  return { id: trigger.id, secret };
}

interface Success {
  secret: string;
  trigger: { id: string };
}

async function mutate(
  { url, headers }: Child,
  name: string,
  input: object,
  fields: string,
): Promise<Success> {
  const type = name.charAt(0).toUpperCase() + name.slice(1);
  const query = `mutation ($input: ${type}Input!) { ${name}(input: $input) { ... on ${type}Success { ${fields} } ... on Error { message } } }`;
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ query, variables: { input } }),
  });
  const answer = (await response.json()) as { data?: Record<string, Success | null> };
  const success = answer.data?.[name];
  if (!success?.trigger) throw new Error(`${name} failed: ${JSON.stringify(answer)}`);
  return success;
}
