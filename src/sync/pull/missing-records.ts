import type { EntityManager } from 'typeorm';
import type { WireRecord } from '../../calendly/wire.ts';
import type { Clock } from '../../clock.ts';
import { AppError } from '../../errors.ts';
import type { Sync } from '../sync.ts';
import type { SyncLease } from '../sync-lease.ts';
import type { RecordNews } from '../values/row-writes.ts';
import { batchSize, type Comparison } from './comparison.ts';
import type { UpstreamTable } from './upstream-table.ts';
import { lookUpWitnessed, maxAskedFor, witnessCount } from './witnessed-lookup.ts';

/*
 * Records of the copy that a reading of the whole table has not seen. That alone says little: a listing may skip some. So
 * each is asked for by its id, together with some that the same reading has seen; what is there after all is compared as if
 * it had been listed. What is missing even so is deleted, unless so much of the table is missing that a person should see it
 * first.
 */

/** How often other witnesses are tried: they may just have been deleted. */
const maxTries = 3;

/** So many missing records are never too many, unless they are all. */
const alwaysPlausible = 100;
/** Beyond them, this share of the table that is known. */
const plausibleShare = 0.5;

/** So much of a table is gone that nothing of it is deleted before somebody has said so. */
export class TooMuchMissing extends Error {}

export interface MissingRecordsDeps {
  lease: SyncLease;
  table: UpstreamTable;
  comparison: Comparison;
  catchUp: () => Promise<void>;
  clock: Clock;
}

/** @throws TooMuchMissing; AppError UPSTREAM_UNREADABLE when lookups can not be believed */
export async function removeMissing(run: Sync, deps: MissingRecordsDeps, signal: AbortSignal): Promise<void> {
  const { lease, comparison, catchUp } = deps;
  const reader = 'missing records';
  for (let unseen = await unseenAfter(lease.sql, run, ''); unseen.length > 0;) {
    comparison.begin(reader);
    await comparison.compare(reader, await lookUp(run, unseen, deps, signal));
    await comparison.end(reader);
    unseen = await unseenAfter(lease.sql, run, unseen.at(-1) ?? '');
  }
  // What was deleted while all this was read is told by the log, and is no drift.
  await catchUp();
  const counts = await countUnseen(lease.sql, run);
  if (counts.unseen === 0) return;
  if (isTooMuch(counts) && !(await lease.read()).lossAccepted) throw tooMuchMissing(counts);
  for (let count = batchSize; count === batchSize;)
    count = await lease.transaction(async (sql, sync) => {
      const gone = await deletionsOf(sql, run, new Date(deps.clock.now()));
      await comparison.repair(sql, sync, gone);
      return gone.length;
    });
}

async function lookUp(
  run: Sync,
  ids: readonly string[],
  { lease, table, catchUp }: MissingRecordsDeps,
  signal: AbortSignal,
): Promise<WireRecord[]> {
  for (let attempt = 1; ; attempt += 1) {
    const witnesses = await someSeen(lease.sql, run);
    const { found, isBorneOut } = await lookUpWitnessed(table, run, ids, witnesses, signal);
    if (witnesses.length === 0 || isBorneOut) return [...found.values()];
    if (attempt === maxTries)
      throw new AppError(
        'UPSTREAM_UNREADABLE',
        'Asked for records by their ids, the upstream answered without those that it has just listed. Nothing is deleted by that.',
      );
    await catchUp();
  }
}

/** In the order of their ids, as many as one lookup takes. */
async function unseenAfter(
  sql: Pick<EntityManager, 'query'>,
  { id, run }: Sync,
  after: string,
): Promise<string[]> {
  const rows = await sql.query<{ id: string }[]>(
    `SELECT record_id AS id FROM copied_records WHERE sync_id = $1 AND seen_run < $2 AND record_id > $3
     ORDER BY record_id LIMIT $4`,
    [id, run, after, maxAskedFor],
  );
  return rows.map((row) => row.id);
}

/** Others each time. */
async function someSeen(sql: Pick<EntityManager, 'query'>, { id, run }: Sync): Promise<string[]> {
  const rows = await sql.query<{ id: string }[]>(
    `SELECT id FROM (SELECT record_id AS id FROM copied_records WHERE sync_id = $1 AND seen_run = $2 LIMIT $4) AS seen
     ORDER BY random() LIMIT $3`,
    [id, run, witnessCount, maxAskedFor],
  );
  return rows.map((row) => row.id);
}

interface Counts {
  unseen: number;
  known: number;
}

async function countUnseen(sql: Pick<EntityManager, 'query'>, { id, run }: Sync): Promise<Counts> {
  const [row] = await sql.query<Counts[]>(
    `SELECT count(*) FILTER (WHERE seen_run < $2)::int AS unseen, count(*)::int AS known FROM copied_records WHERE sync_id = $1`,
    [id, run],
  );
  return row ?? { unseen: 0, known: 0 };
}

/** With none left, there was nobody to bear witness. */
function isTooMuch({ unseen, known }: Counts): boolean {
  return unseen === known || (unseen > alwaysPlausible && unseen > known * plausibleShare);
}

function tooMuchMissing({ unseen, known }: Counts): TooMuchMissing {
  return new TooMuchMissing(
    `Of ${known} records ${unseen} are missing upstream, without the change log having told of it. Their rows are kept until somebody has looked at that: "resumeSync" deletes those that are still missing then.`,
  );
}

async function deletionsOf(sql: EntityManager, { id, run }: Sync, at: Date): Promise<RecordNews[]> {
  const rows = await sql.query<{ recordId: string }[]>(
    `SELECT record_id AS "recordId" FROM copied_records WHERE sync_id = $1 AND seen_run < $2 ORDER BY record_id LIMIT $3`,
    [id, run, batchSize],
  );
  return rows.map(({ recordId }) => ({
    recordId,
    createdTime: null,
    cells: null,
    changedAt: at,
    entries: [],
    position: null,
  }));
}
