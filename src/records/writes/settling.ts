import type { DataSource, EntityManager } from 'typeorm';
import { fingerprintOfLogged } from './fingerprint.ts';
import type { OperationRow, TenRow } from './write-rows.ts';

/** A record that the change log saw come to life. */
export interface LoggedCreation {
  recordId: string;
  cells: Record<string, unknown>;
}

/** What was created in a table between two moments, or null where that cannot be known for certain. */
export type FindCreations = (
  place: { connectionId: number; baseId: string; tableId: string },
  since: Date,
  until: Date,
) => Promise<LoggedCreation[] | null>;

/** The upstream's clock and ours may differ by so much, in milliseconds. */
const clockSlackMs = 60_000;
/** A call may take effect so long after it left, in milliseconds. */
const maxFlightMs = 10 * 60_000;
/** Any number that only we use, and the second key of a lock per table. */
const settlingLock = 1_764_009;

/**
 * Looks for records whose creation got no answer. One is WRITTEN if the log shows exactly one creation with its cells that
 * no other write has claimed or waits for, and no other record of the write has the same; what it finds is claimed by
 * storing it. Those who look for records of the same table take turns, so that nothing is claimed twice.
 * @returns whether something was found
 */
export async function settleUnknown(
  database: DataSource,
  operation: OperationRow,
  tens: readonly TenRow[],
  findCreations: FindCreations,
): Promise<boolean> {
  const { table_id: tableId } = operation;
  const open = tens.filter(isOpen);
  if (tableId === null || open.length === 0) return false;
  const since = new Date(Math.min(...open.map(({ sent_at }) => sent_at.getTime())) - clockSlackMs);
  const until = new Date(Math.max(...open.map(({ sent_at }) => sent_at.getTime())) + maxFlightMs);
  const place = { connectionId: operation.connection_id, baseId: operation.base_id, tableId };
  const creations = await findCreations(place, since, until);
  if (!creations || creations.length === 0) return false;
  return database.transaction(async (sql) => {
    await sql.query('SELECT pg_advisory_xact_lock($1, hashtext($2))', [
      settlingLock,
      `${place.baseId}/${tableId}`,
    ]);
    return claim(sql, operation, open, creations);
  });
}

async function claim(
  sql: EntityManager,
  operation: OperationRow,
  open: readonly TenRow[],
  creations: readonly LoggedCreation[],
): Promise<boolean> {
  const claimed = await claimedAmong(sql, operation.base_id, creations);
  const computed = new Set(operation.computed_fields);
  const isAwaited = await awaitedByOthers(sql, operation, computed);
  const unclaimed = creations.filter((creation) => !claimed.has(creation.recordId) && !isAwaited(creation));
  const logged = groupedIds(
    unclaimed.map(({ recordId, cells }) => [
      fingerprintOfLogged(cells, computed, operation.id).toString('hex'),
      recordId,
    ]),
  );
  const wanted = groupedIds(
    open.flatMap(({ ordinal, fingerprints }) =>
      (fingerprints ?? []).flatMap((print): [string, string][] =>
        print === null ? [] : [[print.toString('hex'), String(ordinal)]],
      ),
    ),
  );
  let found = false;
  for (const ten of open) {
    const settled = (ten.fingerprints ?? []).map((print, position) => {
      const known = ten.settled_ids?.[position];
      if (known != null || print === null) return known ?? null;
      const key = print.toString('hex');
      const [only, ...others] = logged.get(key) ?? [];
      return only !== undefined && others.length === 0 && wanted.get(key)?.length === 1 ? only : null;
    });
    if (settled.every((id, position) => id === (ten.settled_ids?.[position] ?? null))) continue;
    found = true;
    await sql.query('UPDATE write_tens SET settled_ids = $3 WHERE operation_id = $1 AND ordinal = $2', [
      operation.id,
      ten.ordinal,
      settled,
    ]);
  }
  return found;
}

function groupedIds(pairs: readonly [fingerprint: string, id: string][]): Map<string, string[]> {
  const groups = new Map<string, string[]>();
  for (const [fingerprint, id] of pairs) groups.set(fingerprint, [...(groups.get(fingerprint) ?? []), id]);
  return groups;
}

/** SENDING, of a write that has ended, is one whose outcome could not be stored. */
function isOpen({ state, fingerprints, settled_ids }: TenRow): boolean {
  if ((state !== 'OUTCOME_UNKNOWN' && state !== 'SENDING') || !fingerprints) return false;
  return fingerprints.some((print, position) => print !== null && settled_ids?.[position] == null);
}

/** The records among these that a write has got an answer for, or has found before. */
async function claimedAmong(
  sql: EntityManager,
  baseId: string,
  creations: readonly LoggedCreation[],
): Promise<Set<string>> {
  const rows = await sql.query<{ id: string }[]>(
    `SELECT DISTINCT known.id FROM write_operations AS operation
       JOIN write_tens AS ten ON ten.operation_id = operation.id,
       LATERAL unnest(CASE WHEN ten.state = 'WRITTEN' THEN ten.record_ids ELSE '{}' END || coalesce(ten.settled_ids, '{}')) AS known(id)
     WHERE operation.base_id = $1 AND known.id = ANY($2)`,
    [baseId, creations.map(({ recordId }) => recordId)],
  );
  return new Set(rows.map(({ id }) => id));
}

/** Whether a creation may be that of another write, whose answer is still on its way or was lost as well. */
async function awaitedByOthers(
  sql: EntityManager,
  { id, base_id, table_id }: OperationRow,
  computed: ReadonlySet<string>,
): Promise<(creation: LoggedCreation) => boolean> {
  const others = await sql.query<
    { id: string; fingerprints: (Buffer | null)[]; settled_ids: (string | null)[] | null }[]
  >(
    `SELECT operation.id, ten.fingerprints, ten.settled_ids FROM write_operations AS operation
       JOIN write_tens AS ten ON ten.operation_id = operation.id
     WHERE operation.base_id = $1 AND operation.table_id = $2 AND operation.id <> $3
       AND ten.state IN ('SENDING', 'OUTCOME_UNKNOWN') AND ten.fingerprints IS NOT NULL`,
    [base_id, table_id, id],
  );
  return ({ cells }) =>
    others.some((other) => {
      const print = fingerprintOfLogged(cells, computed, other.id);
      return other.fingerprints.some(
        (awaited, position) => awaited?.equals(print) && other.settled_ids?.[position] == null,
      );
    });
}
