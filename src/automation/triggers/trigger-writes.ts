import type { DataSource, EntityManager } from 'typeorm';
import { isObject } from '../../calendly/cell-values.ts';
import type { ChangeEntry } from '../../changes/log-entry.ts';
import type { Position } from '../../changes/position.ts';
import type { Clock } from '../../clock.ts';
import type { ActionTemplate } from './action-template.ts';
import type { Trigger } from './trigger.ts';

/** Changes by our own calls come with this as their source. */
const ownSource = 'publicApi';
/** The upstream's clock and ours may differ by so much, in milliseconds. */
const clockSlackMs = 60_000;
/** A change may be recorded so long after its write has ended, in milliseconds. */
const maxFlightMs = 10 * 60_000;
/** Longest that a change waits for the answer of a creation that it may be, in milliseconds. */
const maxWaitMs = 90_000;
/** What one transaction changed stands in payloads that are so close to each other. */
const payloadsOfTransaction = 10;
/** Actions one after the other, each set off by the one before. */
export const maxChainLength = 8;

const kindOf: Readonly<Record<string, string>> = {
  'calendly.createRecord': 'created',
  'calendly.updateRecord': 'updated',
  'calendly.deleteRecord': 'deleted',
};

interface WriteRow extends Position {
  deliveryId: string;
  triggerId: string;
  chain: string[];
  /** Null for a creation whose answer has not come. */
  recordId: string | null;
  startedAt: Date;
  finishedAt: Date | null;
}

/**
 * What the actions of triggers wrote, so that their changes are known again when they come back by the log. A change is
 * taken for a write of ours if it was made through the API, in the same table, to the same record, in time, to a field
 * that the write set; each write is taken for one change only. What else changed in the same transaction upstream, such as
 * the other end of a link, came of the same write. A creation is known by its record once it was answered; until then
 * changes that it may be wait for the answer. What stays unclear is taken for ours: a loop that runs is worse than a
 * change that an action misses, and that shows among the deliveries of its trigger.
 */
export class TriggerWrites {
  readonly #database: DataSource;
  readonly #clock: Clock;

  constructor(deps: { database: DataSource; clock: Clock }) {
    this.#database = deps.database;
    this.#clock = deps.clock;
  }

  /** Before a write leaves. @param filled the action with its values */
  async begin(
    { id, triggerId, chain }: { id: string; triggerId: string; chain: string[] },
    filled: ActionTemplate,
  ): Promise<void> {
    const { action, config } = filled;
    const fields = isObject(config.fields) ? Object.keys(config.fields) : [];
    const recordId = typeof config.recordId === 'string' ? config.recordId : null;
    await this.#database.query(
      `WITH opened AS (UPDATE trigger_deliveries SET open_since = coalesce(open_since, $9) WHERE id = $1)
       INSERT INTO trigger_writes (delivery_id, trigger_id, chain, base_id, table_id, kind, record_id, field_ids, started_at, filled)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
       ON CONFLICT (delivery_id) DO UPDATE SET started_at = excluded.started_at, finished_at = NULL, base_id = excluded.base_id,
         table_id = excluded.table_id, kind = excluded.kind, record_id = excluded.record_id, field_ids = excluded.field_ids,
         seen_feed = NULL, filled = excluded.filled`,
      [
        id,
        triggerId,
        chain,
        config.baseId,
        config.tableId,
        kindOf[action],
        recordId,
        fields,
        new Date(this.#clock.now()),
        JSON.stringify(filled),
      ],
    );
  }

  /** What a delivery's write was begun with; null when none is known to have begun. */
  async begun(deliveryId: string): Promise<ActionTemplate | null> {
    const [row] = await this.#database.query<{ filled: ActionTemplate }[]>(
      'SELECT filled FROM trigger_writes WHERE delivery_id = $1',
      [deliveryId],
    );
    return row?.filled ?? null;
  }

  /** @param recordId null when it is not known which */
  async ended(deliveryId: string, recordId: string | null): Promise<void> {
    await this.#database.query(
      'UPDATE trigger_writes SET finished_at = $2, record_id = coalesce($3, record_id) WHERE delivery_id = $1',
      [deliveryId, new Date(this.#clock.now()), recordId],
    );
  }

  async cameToNothing(deliveryId: string): Promise<void> {
    await this.#database.query('DELETE FROM trigger_writes WHERE delivery_id = $1', [deliveryId]);
  }

  /**
   * Which triggers led to a change, the first one first; none if it is nobody's of ours.
   * @returns `wait` while that depends on an answer that is on its way
   */
  async chainBehind(
    sql: EntityManager,
    entry: ChangeEntry,
    { baseId, feedId }: Pick<Trigger, 'baseId' | 'feedId'>,
  ): Promise<string[] | 'wait'> {
    if (entry.source !== ownSource) return [];
    for (const write of await candidates(sql, entry, baseId, feedId)) {
      const waitedMs = this.#clock.now() - write.startedAt.getTime();
      if (write.recordId === null && write.finishedAt === null && waitedMs < maxWaitMs) return 'wait';
      if (await take(sql, write, feedId)) return [...write.chain, write.triggerId];
    }
    return [];
  }
}

/** Writes that the change, or another of its transaction, may be; the surest first. */
function candidates(
  sql: EntityManager,
  { position, transaction, occurredAt }: ChangeEntry,
  baseId: string,
  feedId: number,
): Promise<WriteRow[]> {
  const { generation, payload, ordinal } = position;
  return sql.query(
    `SELECT w.delivery_id AS "deliveryId", w.trigger_id AS "triggerId", w.chain, w.record_id AS "recordId",
            w.started_at AS "startedAt", w.finished_at AS "finishedAt", c.generation, c.payload, c.ordinal
     FROM changes AS c JOIN trigger_writes AS w
       ON w.base_id = $5 AND w.table_id = c.table_id AND w.kind = c.kind AND (w.record_id = c.record_id OR w.record_id IS NULL)
     WHERE c.feed_id = $1 AND c.generation = $2 AND c.payload BETWEEN $3::integer - $9 AND $3::integer + $9
       AND (c.payload = $3 AND c.ordinal = $4 OR c.upstream_transaction = $6 AND c.source = '${ownSource}')
       AND w.started_at < $7::timestamptz + make_interval(secs => $10)
       AND (w.finished_at IS NULL OR w.finished_at > $7::timestamptz - make_interval(secs => $8))
       AND (w.seen_feed IS NULL OR w.seen_feed <> $1
            OR (w.seen_generation, w.seen_payload, w.seen_ordinal) = (c.generation, c.payload, c.ordinal))
       AND (w.kind = 'deleted' OR w.field_ids = '{}'
            OR EXISTS (SELECT 1 FROM json_array_elements(c.fields) AS field WHERE field->>'id' = ANY(w.field_ids)))
     ORDER BY w.record_id NULLS LAST, w.started_at, w.delivery_id`,
    [
      feedId,
      generation,
      payload,
      ordinal,
      baseId,
      transaction,
      occurredAt,
      maxFlightMs / 1_000,
      payloadsOfTransaction,
      clockSlackMs / 1_000,
    ],
  );
}

/** Of several triggers that look at one change all take the same write for it, and of several changes only one. */
async function take(sql: EntityManager, write: WriteRow, feedId: number): Promise<boolean> {
  const [, count] = await sql.query<[unknown[], number]>(
    `UPDATE trigger_writes SET seen_feed = $2, seen_generation = $3, seen_payload = $4, seen_ordinal = $5
     WHERE delivery_id = $1 AND (seen_feed IS NULL OR seen_feed <> $2
       OR (seen_generation, seen_payload, seen_ordinal) = ($3, $4, $5))`,
    [write.deliveryId, feedId, write.generation, write.payload, write.ordinal],
  );
  return count > 0;
}
