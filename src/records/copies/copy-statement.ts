import type { RecordTest } from '../filters/record-test.ts';
import type { CopiedCells } from './copied-cells.ts';
import type { Verdicts } from './known-shapes.ts';
import { behind, orderBy, type CopyPlace, type SortField } from './sort-order.ts';
import { StatementValues } from './statement.ts';
import { testCondition } from './test-condition.ts';

/** A table as one connection sees it, and how old a copy of it may be. */
export interface CopyWanted {
  connectionId: number;
  baseId: string;
  tableId: string;
  maxAgeMs: number;
}

export interface CopyStatement {
  text: string;
  values: readonly unknown[];
}

/** `limit` records behind a place, in order. */
export function pageStatement(
  wanted: CopyWanted,
  verdicts: Verdicts,
  page: {
    cells: CopiedCells;
    tests: readonly RecordTest[];
    sort: readonly SortField[];
    after: CopyPlace | null;
    limit: number;
  },
): CopyStatement {
  const values = new StatementValues();
  const copy = copyOf(wanted, verdicts, values);
  const conditions = page.tests.map((test) => testCondition(test, values));
  if (page.after) conditions.push(behind(page.after, page.sort, values));
  const order = orderBy(page.sort, values);
  const limit = values.add(page.limit, 'integer');
  return selectFrom(copy, values, page.cells, conditions, `ORDER BY ${order} LIMIT ${limit}`);
}

/** The records with these ids, in any order. */
export function lookupStatement(
  wanted: CopyWanted,
  verdicts: Verdicts,
  lookup: { cells: CopiedCells; ids: readonly string[] },
): CopyStatement {
  const values = new StatementValues();
  const copy = copyOf(wanted, verdicts, values);
  return selectFrom(
    copy,
    values,
    lookup.cells,
    [`record.record_id = ANY(${values.add(lookup.ids, 'text[]')})`],
    '',
  );
}

/**
 * The youngest copy that is not known to be unfit, and whether it is young enough: not older than wanted, and younger than
 * what this server wrote to the base last, all by PostgreSQL's clock. `as_of` is when the upstream was asked for changes and
 * had no more. One whose shapes are not known is not read: it tells them, and is asked again.
 */
function copyOf(
  { connectionId, baseId, tableId, maxAgeMs }: CopyWanted,
  { fitting, unfit }: Verdicts,
  values: StatementValues,
): string {
  const isFitting = `sync.shapes_key = ANY(${values.add(fitting, 'text[]')})`;
  const isUnfit = `sync.shapes_key = ANY(${values.add(unfit, 'text[]')})`;
  return `SELECT sync.id, sync.feed_id, sync.as_of, sync.shapes_key, ${isFitting} AS fits,
      CASE WHEN NOT ${isFitting} AND NOT ${isUnfit} THEN sync.field_shapes END AS field_shapes,
      sync.as_of >= clock_timestamp() - make_interval(secs => ${values.add(maxAgeMs / 1_000, 'double precision')})
        AND (written.written_at IS NULL OR sync.as_of > written.written_at) AS fresh
    FROM syncs AS sync LEFT JOIN base_writes AS written ON written.base_id = sync.base_id
    WHERE sync.connection_id = ${values.add(connectionId, 'integer')} AND sync.base_id = ${values.add(baseId, 'text')}
      AND sync.table_id = ${values.add(tableId, 'text')} AND sync.state = 'live' AND sync.direction <> 'push'
      AND sync.as_of IS NOT NULL AND sync.field_shapes IS NOT NULL
    ORDER BY ${isUnfit}, sync.as_of DESC LIMIT 1`;
}

/** What is known of the copy and what is read from it come from one snapshot, in one row. */
function selectFrom(
  copy: string,
  values: StatementValues,
  cells: CopiedCells,
  conditions: readonly string[],
  rest: string,
): CopyStatement {
  const text = `WITH copy AS MATERIALIZED (${copy})
    SELECT copy.feed_id, copy.as_of, copy.shapes_key, copy.field_shapes, copy.fits, copy.fresh,
      CASE WHEN copy.fits AND copy.fresh THEN (
        SELECT coalesce(json_agg(page.told), '[]')::text FROM (
          SELECT ${cells.expression} AS told FROM copied_records AS record
          WHERE ${['record.sync_id = copy.id', ...conditions].join(' AND ')} ${rest}
        ) AS page
      ) END AS records
    FROM copy`;
  return { text, values: values.list };
}
