import type { Sql } from '../database/sql.ts';
import type { RunKind, Sync } from './sync.ts';

/** Entries of the log that wait are counted up to here. */
export const maxBacklog = 10_000;

/** What a sync is at, and how far it is. */
export interface SyncProgress {
  sync: Sync;
  phase: 'filling' | 'catching_up' | 'live' | 'reconciling' | 'paused';
  runKind: RunKind | null;
  recordsDone: number;
  recordsExpected: number | null;
  /** Milliseconds; null while nobody can say. */
  timeLeftMs: number | null;
  backlog: number;
}

/** Fewer records say too little of the pace. */
const minRecordsForPace = 200;

export async function progressOf(sql: Sql, sync: Sync, now: number): Promise<SyncProgress> {
  const { generation, payload, ordinal } = sync.position;
  const [row] = await sql.query<{ done: number; backlog: number }[]>(
    `SELECT (SELECT coalesce(sum(records), 0)::int FROM sync_slices WHERE sync_id = $1 AND run = $2) AS done,
            (SELECT count(*)::int FROM (SELECT 1 FROM changes WHERE feed_id = $3 AND (generation, payload, ordinal) > ($4, $5, $6)
               AND (table_id = $7 OR kind = 'lost') LIMIT $8) AS waiting) AS backlog`,
    [sync.id, sync.run, sync.feedId, generation, payload, ordinal, sync.tableId, maxBacklog],
  );
  const { done = 0, backlog = 0 } = row ?? {};
  const isReading = sync.run > 0 && sync.runFinishedAt === null;
  return {
    sync,
    phase: phaseOf(sync, isReading),
    runKind: sync.runKind,
    recordsDone: done,
    recordsExpected: isReading ? expectedOf(sync, done) : done,
    timeLeftMs: isReading && sync.state !== 'paused' ? timeLeft(sync, done, now) : null,
    backlog,
  };
}

function phaseOf({ state, runKind }: Sync, isReading: boolean): SyncProgress['phase'] {
  if (state === 'paused') return 'paused';
  if (state === 'filling') return isReading || runKind === null ? 'filling' : 'catching_up';
  return isReading ? 'reconciling' : 'live';
}

function expectedOf({ runExpected }: Sync, done: number): number | null {
  return runExpected === null ? null : Math.max(runExpected, done);
}

function timeLeft({ runStartedAt, runExpected }: Sync, done: number, now: number): number | null {
  if (runStartedAt === null || runExpected === null || done < minRecordsForPace) return null;
  const spentMs = Math.max(1, now - runStartedAt.getTime());
  return Math.round((Math.max(0, runExpected - done) * spentMs) / done);
}
