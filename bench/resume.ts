import { reportBars } from './bars.ts';
import { changeIn } from './fanout-event.ts';
import { baseId } from './contacts.ts';
import type { Child } from './child.ts';
import { moment } from './moment.ts';
import { columns, median, thousands } from './report.ts';
import type { Memory } from './servers/memory.ts';
import type { Written } from './servers/log-writer.ts';
import { onStage, type Stage } from './stage.ts';
import { Subscriber, type Told } from './subscriber.ts';

export const resume = 'resume';
export const explainResume = 'coming back 1,000, 10,000 and 30,000 changes behind, under a minute';

const distances = [1_000, 10_000, 30_000];
const rounds = 3;
/** Beside them, one more to look at the memory, since looking takes time. */
const rowsPerCommit = 500;
const patienceMs = 60_000;
/** What a process may hold more while somebody catches up, in MB. */
const maxGrowthMb = 16;

const document = `subscription Resume($connection: Int!, $after: Cursor) {
  recordChanges(connection: $connection, baseId: "${baseId}", after: $after) {
    __typename
    ... on RecordChange {
      cursor kind recordId occurredAt
      fields { name previous current }
      record { id createdTime }
    }
    ... on FeedPosition { cursor }
  }
}`;

interface Return {
  /** From asking for the connection to the first change. */
  firstMs: number;
  /** To the last change that was missed. */
  allMs: number;
}

export async function benchResume(profileDir: string | null): Promise<void> {
  await onStage(play, profileDir);
}

async function play({ start }: Stage): Promise<void> {
  const server = await start('ours-with-log.ts');
  const rows: string[][] = [];
  let largest = 0;
  for (const behind of distances) {
    const cursor = await position(server);
    await server.ask<Written>('append', { commits: behind / rowsPerCommit, rowsPerCommit, into: 'followed' });
    const returns: Return[] = [];
    for (let round = 0; round < rounds; round += 1) returns.push(await comeBack(server, cursor, behind));
    const middle = (value: (one: Return) => number): number => median(returns.map(value));
    const before = await server.ask<Memory>('watchMemory');
    await comeBack(server, cursor, behind);
    const highest = await server.ask<Memory>('highestMemory');
    largest = Math.max(largest, (highest.heap - before.heap) / 1e6);
    rows.push([
      thousands(behind),
      middle(({ firstMs }) => firstMs).toFixed(0),
      middle(({ allMs }) => allMs).toFixed(0),
      thousands(behind / (middle(({ allMs }) => allMs) / 1_000)),
      ((highest.heap - before.heap) / 1e6).toFixed(1),
    ]);
  }
  const head = ['changes behind', 'first ms', 'all ms', 'events/s', 'MB held'];
  console.log(`\n## Coming back\n\n${columns(head, rows)}`);
  const bar = {
    what: `more held by the process while ${thousands(distances.at(-1)!)} changes are told`,
    unit: 'MB',
    reached: largest,
    atMost: maxGrowthMb,
  };
  reportBars([bar]);
}

/** Where a subscription stands that begins now. */
async function position(server: Child): Promise<string> {
  const variables = { connection: server.connection };
  const subscriber = await Subscriber.open('ours', server, { query: document, variables });
  const until = moment() + patienceMs;
  while (subscriber.position === null) {
    if (moment() > until) throw new Error('A subscription did not begin');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  subscriber.close();
  const { payload } = JSON.parse(subscriber.position.toString()) as {
    payload: { data: { recordChanges: { cursor: string } } };
  };
  return payload.data.recordChanges.cursor;
}

/** Comes back, hears what it missed, then one more change as it happens. @throws Error unless all comes once and in order */
async function comeBack(server: Child, after: string, behind: number): Promise<Return> {
  const startedAt = moment();
  const variables = { connection: server.connection, after };
  const subscriber = await Subscriber.open('ours', server, { query: document, variables });
  await told(subscriber, behind);
  const missed = [...subscriber.told];
  requireOrder(missed.slice(0, behind));
  const live = missed.length;
  await server.ask<Written>('append', { commits: 1, rowsPerCommit: 1, into: 'followed' });
  await told(subscriber, live + 1);
  subscriber.close();
  return {
    firstMs: missed[0]!.at - startedAt,
    allMs: missed[behind - 1]!.at - startedAt,
  };
}

function told(subscriber: Subscriber, count: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const giveUp = (): void => reject(new Error(`${subscriber.told.length} of ${count} changes were told`));
    const timer = setTimeout(giveUp, patienceMs);
    const look = (): void => {
      if (subscriber.told.length < count) return;
      clearTimeout(timer);
      resolve();
    };
    subscriber.onEvent = look;
    look();
  });
}

/** Values tell payload and place in it, as the writer counted them. */
function requireOrder(all: Told[]): void {
  let expected: [number, number] | null = null;
  for (const { message } of all) {
    const value = String(changeIn(message).fields[0]?.current);
    const [payload = Number.NaN, ordinal = Number.NaN] = value.slice('Grace '.length).split('.').map(Number);
    if (expected && (payload !== expected[0] || ordinal !== expected[1]))
      throw new Error(`${value} was told in place of ${expected.join('.')}`);
    expected = ordinal === rowsPerCommit - 1 ? [payload + 1, 0] : [payload, ordinal + 1];
  }
}
