import { randomUUID } from 'node:crypto';
import { setTimeout } from 'node:timers/promises';
import pg from 'pg';
import type { App } from '../../src/app.ts';
import type { ChangeEntry } from '../../src/changes/log-entry.ts';
import { appendPage } from '../../src/webhooks/page-append.ts';
import { baseId, tableId } from '../contacts.ts';
import { moment } from '../moment.ts';

/** What is written. */
export interface Writes {
  commits: number;
  rowsPerCommit: number;
  /** Into the log of the base that is subscribed to, or into so many logs at a time that nobody follows. */
  into: 'followed' | number;
  /** From one commit to the next; none follows at once where it is 0. */
  paceMs?: number;
}

export interface Written {
  tookMs: number;
  committedAt: number[];
}

interface Lane {
  feedId: number;
  generation: number;
  payload: number;
  /** The webhook that is moved along, which nobody else drains; null in the log whose own one must stay where it is. */
  webhookId: string | null;
  /** Where that webhook stands: rows that are inserted plainly leave it behind. */
  nextPayload: number;
}

/** Whoever drains them holds its lease all the time. */
const holder = randomUUID();

const columnCount = 15;

/** Writes changes that nobody made upstream: through our log, or past it. */
export class LogWriter {
  readonly #app: App;
  #own: Lane | null = null;
  #others: Lane[] = [];
  readonly #pools = new Map<string, Promise<pg.Pool>>();

  constructor(app: App) {
    this.#app = app;
  }

  /** As a drain does: one statement for what one page of payloads holds, then the bell. */
  async append(writes: Writes): Promise<Written> {
    const { database, changeLog, changeFeeds } = this.#app;
    return this.#write(writes, async (lane, entries) => {
      if (lane.webhookId === null) await changeLog.append(database, lane.feedId, entries);
      else await this.#appendPage(lane, lane.webhookId, entries);
      const committedAt = moment();
      const last = entries.at(-1);
      if (last) changeFeeds.ring(lane.feedId, last.position);
      return committedAt;
    });
  }

  async #appendPage(lane: Lane, id: string, entries: ChangeEntry[]): Promise<void> {
    const { feedId, generation, payload } = lane;
    const page = { entries, lastTransaction: payload, unread: [] };
    const payloads = { from: lane.nextPayload, to: payload + 1 };
    lane.nextPayload = payload + 1;
    const webhook = { id, feedId, generation };
    if ((await appendPage(this.#app.database, webhook, holder, payloads, page, null)) === null)
      throw new Error(`Payload ${payload} was not appended.`);
  }

  /**
   * The same rows by one INSERT, each a transaction by itself, into a table like that of the log.
   * @param synchronousCommit Whether each waits for the disk, as PostgreSQL's setting of that name.
   */
  async insertPlainly(writes: Writes, synchronousCommit: 'on' | 'off'): Promise<Written> {
    const pool = await this.#plain(synchronousCommit);
    return this.#write(writes, async (lane, entries) => {
      await pool.query({
        name: `insert ${entries.length}`,
        text: plainInsert(entries.length),
        values: entries.flatMap((entry) => [lane.feedId, ...plainRow(entry)]),
      });
      return moment();
    });
  }

  /** How many rows there are in either table. */
  async rows(): Promise<{ changes: number; plainly: number }> {
    const pool = await this.#plain('on');
    const { rows } = await pool.query<{ changes: number; plainly: number }>(
      'SELECT (SELECT count(*)::int FROM changes) AS changes, (SELECT count(*)::int FROM plain_changes) AS plainly',
    );
    return rows[0] ?? { changes: 0, plainly: 0 };
  }

  #plain(synchronousCommit: 'on' | 'off'): Promise<pg.Pool> {
    const { databaseUrl } = this.#app.config;
    const pool = this.#pools.get(synchronousCommit) ?? plainTable(databaseUrl, synchronousCommit);
    this.#pools.set(synchronousCommit, pool);
    return pool;
  }

  async #write(
    { commits, rowsPerCommit, into, paceMs = 0 }: Writes,
    commit: (lane: Lane, entries: ChangeEntry[]) => Promise<number>,
  ): Promise<Written> {
    const lanes = await this.#lanes(into);
    // Made before the clock runs: a drain gets them from the upstream.
    const pages = lanes.map((lane) =>
      Array.from({ length: commits / lanes.length }, (_, page) =>
        entriesOf(lane.generation, lane.payload + 1 + page, rowsPerCommit),
      ),
    );
    const committedAt: number[] = [];
    const startedAt = moment();
    await Promise.all(
      lanes.map(async (lane, index) => {
        for (const entries of pages[index]!) {
          lane.payload += 1;
          committedAt.push(await commit(lane, entries));
          if (paceMs > 0) await setTimeout(paceMs);
        }
      }),
    );
    return { tookMs: moment() - startedAt, committedAt };
  }

  async #lanes(count: Writes['into']): Promise<Lane[]> {
    if (count === 'followed') return [(this.#own ??= await this.#ownLane())];
    while (this.#others.length < count) this.#others.push(await this.#newLane());
    return this.#others.slice(0, count);
  }

  async #newLane(): Promise<Lane> {
    const webhookId = randomUUID();
    const [row] = await this.#app.database.query<{ id: number }[]>(
      `WITH feed AS (INSERT INTO change_feeds (client_id, base_id, generation) VALUES ('bench', $1, 1) RETURNING id)
       INSERT INTO webhooks (id, feed_id, generation, state, drain_holder) SELECT $1::uuid, id, 1, 'active', $2 FROM feed
       RETURNING feed_id AS id`,
      [webhookId, holder],
    );
    return { feedId: row!.id, generation: 1, payload: 0, webhookId, nextPayload: 1 };
  }

  async #ownLane(): Promise<Lane> {
    const [feed] = await this.#app.database.query<{ id: number }[]>(
      'SELECT id FROM change_feeds WHERE base_id = $1',
      [baseId],
    );
    if (!feed) throw new Error('Nobody has subscribed to the base.');
    const { generation, payload } = await this.#app.changeLog.head(feed.id);
    return { feedId: feed.id, generation: Math.max(1, generation), payload, webhookId: null, nextPayload: 0 };
  }
}

/** The changes of one payload: updates of two cells, with twelve that the record holds. */
function entriesOf(generation: number, payload: number, count: number): ChangeEntry[] {
  return Array.from({ length: count }, (_, ordinal) => ({
    position: { generation, payload, ordinal },
    kind: 'updated' as const,
    occurredAt: new Date(),
    source: 'client',
    actor: { id: 'usr0000000000000', name: 'Ada Lovelace', email: 'ada@example.com' },
    transaction: payload,
    tableId,
    recordId: `rec${String((payload * count + ordinal) % 10_000).padStart(14, '0')}`,
    recordCreatedAt: new Date(0),
    fields: [
      { id: 'fldNAME0000000000', name: 'Name', previous: 'Grace', current: `Grace ${payload}.${ordinal}` },
      { id: 'fldSTATUS00000000', name: 'Status', previous: 'Lead', current: 'Customer' },
    ],
    cells: Object.fromEntries(
      Array.from({ length: 12 }, (_cell, cell) => [
        `fldCELL${cell}`.padEnd(17, '0'),
        `What cell ${cell} holds`,
      ]),
    ),
  }));
}

function plainRow(entry: ChangeEntry): unknown[] {
  const { generation, payload, ordinal } = entry.position;
  const { kind, tableId: table, recordId, recordCreatedAt, occurredAt, source, actor, transaction } = entry;
  return [
    ...[generation, payload, ordinal, kind, table, recordId, recordCreatedAt, occurredAt, source],
    ...[JSON.stringify(actor), transaction, JSON.stringify(entry.fields), JSON.stringify(entry.cells), null],
  ];
}

function plainInsert(rows: number): string {
  const values = Array.from({ length: rows }, (_, row) => {
    const places = Array.from({ length: columnCount }, (_place, at) => `$${row * columnCount + at + 1}`);
    return `(${places.join(', ')})`;
  });
  return `INSERT INTO plain_changes (feed_id, generation, payload, ordinal, kind, table_id, record_id, record_created_at, occurred_at,
    source, actor, upstream_transaction, fields, cells, detail) VALUES ${values.join(', ')}`;
}

/** As many connections as ours keeps. */
async function plainTable(connectionString: string, synchronousCommit: 'on' | 'off'): Promise<pg.Pool> {
  const options = `-c synchronous_commit=${synchronousCommit}`;
  const pool = new pg.Pool({ connectionString, max: 10, options });
  await pool.query('CREATE TABLE IF NOT EXISTS plain_changes (LIKE changes INCLUDING ALL)');
  return pool;
}
