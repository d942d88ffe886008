import type { EntityManager } from 'typeorm';
import { livingColumns, type MappedColumn, type Sync } from '../sync.ts';
import { kindOf, passingOfAttachments } from '../values/column-types.ts';
import { literal, quoted, quotedTable } from './identifiers.ts';
import { guarded } from './row-attempts.ts';
import { definitions, sameKey, source, type RowToPut } from './target-rows.ts';

/** Records whose row is missing, has other values than it should, or could not have them. */
export async function differingRows(
  sql: EntityManager,
  sync: Sync,
  rows: readonly RowToPut[],
): Promise<Set<string>> {
  if (livingColumns(sync).length === 0) return new Set();
  const { done, refused } = await guarded(sql, sync, rows, (some) => compareRows(sql, sync, some));
  return new Set([...done.flatMap((ids) => [...ids]), ...refused.map(({ recordId }) => recordId)]);
}

async function compareRows(sql: EntityManager, sync: Sync, rows: readonly RowToPut[]): Promise<Set<string>> {
  const columns = livingColumns(sync);
  if (rows.length === 0) return new Set();
  const side = (of: (index: number, column: string) => string) =>
    columns.map((column, index) => comparable(column, of(index, column.column))).join(', ');
  const found = await sql.query<{ r: string }[]>(
    `SELECT src.r FROM jsonb_to_recordset($1::jsonb) AS src(${definitions(sync)})
       LEFT JOIN ${quotedTable(sync)} AS t ON ${sameKey(sync)}
     WHERE ROW(t.${quoted(sync.keyColumns[0] ?? '')}) IS NULL
        OR ROW(${side((index) => `src.v${index}`)}) IS DISTINCT FROM ROW(${side((_, column) => `t.${quoted(column)}`)})`,
    [source(sync, rows)],
  );
  return new Set(found.map(({ r }) => r));
}

/** An expression of equal values for what is the same: `json` has no equality, and addresses of attachments pass. */
function comparable(column: MappedColumn, expression: string): string {
  const value = column.columnType === 'json' ? `${expression}::jsonb` : expression;
  if (kindOf(column) !== 'json') return value;
  const passing = passingOfAttachments.map((key) => ` - ${literal(key)}`).join('');
  return `CASE WHEN jsonb_typeof(${value}) = 'array' THEN coalesce((
    SELECT jsonb_agg(CASE WHEN item ->> 'id' LIKE 'att%' THEN item${passing} ELSE item END ORDER BY place)
    FROM jsonb_array_elements(${value}) WITH ORDINALITY AS items(item, place)), '[]') ELSE ${value} END`;
}
