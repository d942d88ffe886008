import type { EntityManager } from 'typeorm';
import { jsonText } from '../../changes/json-text.ts';
import { columnValue } from '../values/column-types.ts';
import { literal, quoted, quotedTable } from './identifiers.ts';
import { keyText } from './local-rows.ts';
import { guarded, RowsKeptOut } from './row-attempts.ts';
import type { RowRefusal } from './row-refusal.ts';
import type { Cells } from '../values/row-writes.ts';
import { livingColumns, type Sync } from '../sync.ts';
import { changedAtColumn, recordIdColumn } from './target-table.ts';

export interface RowToPut {
  recordId: string;
  /** Null for a row that has to be made. */
  rowKey: string[] | null;
  cells: Cells;
  changedAt: Date;
  /** Fields whose columns are written in a row that is there; all of them when it is left out. */
  only?: readonly string[];
}

export interface RowToDelete {
  recordId: string;
  rowKey: string[];
}

export interface PutRows {
  /** The primary keys of the rows that were written, by record. */
  keys: Map<string, string[]>;
  refused: RowRefusal[];
}

/**
 * Writes rows in the caller's transaction, all with one statement; where the target refuses one of them, each by itself,
 * so that the others get through. Rows that are missing are made; in a pull, one that is nobody's and has the key that the
 * record gives becomes the record's.
 */
export async function putRows(sql: EntityManager, sync: Sync, rows: readonly RowToPut[]): Promise<PutRows> {
  // All fields of a table that was there before are gone: its rows keep what they have.
  if (targetColumns(sync).length === 0) return { keys: new Map(), refused: [] };
  const written = await guarded(sql, sync, rows, (some, done: readonly Map<string, string[]>[]) =>
    putTogether(sql, sync, some, new Set(done.flatMap((keys) => [...keys.values()].map(keyText)))),
  );
  return { keys: new Map(written.done.flatMap((keys) => [...keys])), refused: written.refused };
}

/** Deletes rows in the caller's transaction; one that is gone already is deleted. @returns those that the target holds on to */
export async function deleteRows(
  sql: EntityManager,
  sync: Sync,
  rows: readonly RowToDelete[],
): Promise<RowRefusal[]> {
  const { refused } = await guarded(sql, sync, rows, async (some) => {
    await sql.query(
      `DELETE FROM ${quotedTable(sync)} AS t USING jsonb_to_recordset($1::jsonb) AS src(k text[]) WHERE ${sameKey(sync)}`,
      [jsonText(some.map(({ rowKey }) => ({ k: rowKey })))],
    );
  });
  return refused.map((refusal) => ({
    ...refusal,
    rowKey: rows.find(({ recordId }) => recordId === refusal.recordId)?.rowKey ?? null,
  }));
}

async function putTogether(
  sql: EntityManager,
  sync: Sync,
  rows: readonly RowToPut[],
  taken: Set<string>,
): Promise<Map<string, string[]>> {
  const known = rows.filter(({ rowKey }) => rowKey !== null);
  const keys = await updateRows(sql, sync, known);
  // A trigger that finds nothing to change keeps the row as it is.
  const kept = await keysThere(
    sql,
    sync,
    known.filter(({ recordId }) => !keys.has(recordId)),
  );
  for (const [id, key] of kept) keys.set(id, key);
  for (const key of keys.values()) taken.add(keyText(key));
  const adopted = await adoptRows(
    sql,
    sync,
    rows.filter(({ recordId }) => !keys.has(recordId)),
    taken,
  );
  for (const [id, key] of adopted) keys.set(id, key);
  // Of a row of which only some columns were to be written, and that is not there, somebody will hear that it was deleted.
  const missing = rows.filter(
    ({ recordId, rowKey, only }) => !keys.has(recordId) && (rowKey === null || only === undefined),
  );
  if (missing.length > 0) for (const [id, key] of await insertRows(sql, sync, missing)) keys.set(id, key);
  return keys;
}

/**
 * Writes records without a row into the rows that have their keys and are no other record's.
 * @param taken keys that have become some record's in this transaction
 */
async function adoptRows(
  sql: EntityManager,
  sync: Sync,
  rows: readonly RowToPut[],
  taken: Set<string>,
): Promise<Map<string, string[]>> {
  const columns = livingColumns(sync);
  const places = sync.keyColumns.map((name) => columns.findIndex(({ column }) => column === name));
  if (rows.length === 0 || sync.direction !== 'pull' || sync.owned || places.includes(-1)) return new Map();
  const found = await sql.query<{ r: string; key: string[] }[]>(
    `SELECT src.r, ${keyOf(sync)} AS key
     FROM ROWS FROM (jsonb_to_recordset($1::jsonb) AS (${definitions(sync)})) WITH ORDINALITY AS src
       JOIN ${quotedTable(sync)} AS t ON ${places
         .map((place, index) => `t.${quoted(sync.keyColumns[index] ?? '')} = src.v${place}`)
         .join(' AND ')}
     WHERE NOT EXISTS (SELECT 1 FROM copied_records AS c
       WHERE c.sync_id = $2 AND c.row_key = ${keyOf(sync)} AND c.record_id <> src.r)
     ORDER BY src.ordinality`,
    [source(sync, rows), sync.id],
  );
  const byId = new Map(rows.map((row) => [row.recordId, row]));
  const nobodys = found.flatMap(({ r, key }): RowToPut[] => {
    const row = byId.get(r);
    if (!row || taken.has(keyText(key))) return [];
    taken.add(keyText(key));
    const { only: _only, ...whole } = row;
    return [{ ...whole, rowKey: key }];
  });
  return updateRows(sql, sync, nobodys);
}

/** The keys of these rows that are there. */
async function keysThere(
  sql: EntityManager,
  sync: Sync,
  rows: readonly RowToPut[],
): Promise<Map<string, string[]>> {
  if (rows.length === 0) return new Map();
  const found = await sql.query<{ r: string; key: string[] }[]>(
    `SELECT src.r, ${keyOf(sync)} AS key FROM jsonb_to_recordset($1::jsonb) AS src(r text, k text[])
       JOIN ${quotedTable(sync)} AS t ON ${sameKey(sync)}`,
    [jsonText(rows.map(({ recordId, rowKey }) => ({ r: recordId, k: rowKey })))],
  );
  return new Map(found.map(({ r, key }) => [r, key]));
}

async function updateRows(
  sql: EntityManager,
  sync: Sync,
  rows: readonly RowToPut[],
): Promise<Map<string, string[]>> {
  if (rows.length === 0) return new Map();
  const [updated] = await sql.query<[{ r: string; key: string[] }[], number]>(
    `UPDATE ${quotedTable(sync)} AS t SET ${targetColumns(sync)
      .map(({ column, value, fieldId }) => {
        const isWritten = `src.o IS NULL OR ${literal(fieldId ?? '')} = ANY(src.o)`;
        const given =
          fieldId === null ? value : `CASE WHEN ${isWritten} THEN ${value} ELSE t.${quoted(column)} END`;
        return `${quoted(column)} = ${given}`;
      })
      .join(', ')}
     FROM jsonb_to_recordset($1::jsonb) AS src(${definitions(sync)}) WHERE ${sameKey(sync)}
     RETURNING src.r, ${keyOf(sync)} AS key`,
    [source(sync, rows)],
  );
  return new Map(updated.map(({ r, key }) => [r, key]));
}

async function insertRows(
  sql: EntityManager,
  sync: Sync,
  rows: readonly RowToPut[],
): Promise<Map<string, string[]>> {
  const columns = targetColumns(sync);
  const names = columns.map(({ column }) => quoted(column)).join(', ');
  // A table of ours knows the records that it has, should what we remember of them be lost.
  const again = sync.owned
    ? `ON CONFLICT (${quoted(recordIdColumn)}) DO UPDATE SET ${columns.map(({ column }) => `${quoted(column)} = excluded.${quoted(column)}`).join(', ')}`
    : '';
  const inserted = await sql.query<{ key: string[] }[]>(
    `INSERT INTO ${quotedTable(sync)} AS t (${names}) SELECT ${columns.map(({ value }) => value).join(', ')}
     FROM ROWS FROM (jsonb_to_recordset($1::jsonb) AS (${definitions(sync)})) WITH ORDINALITY AS src
     ORDER BY src.ordinality ${again} RETURNING ${keyOf(sync)} AS key`,
    [source(sync, rows)],
  );
  // A trigger of the target may have kept rows out; which of them only shows one by one.
  if (inserted.length !== rows.length) throw new RowsKeptOut();
  return new Map(rows.map(({ recordId }, index) => [recordId, inserted[index]?.key ?? []]));
}

/** What each column gets, in terms of `src`. */
function targetColumns(sync: Sync): { column: string; value: string; fieldId: string | null }[] {
  const fields = livingColumns(sync).map(({ column, fieldId }, index) => ({
    column,
    value: `src.v${index}`,
    fieldId,
  }));
  if (!sync.owned) return fields;
  return [
    { column: recordIdColumn, value: 'src.r', fieldId: null },
    { column: changedAtColumn, value: 'src.c', fieldId: null },
    ...fields,
  ];
}

/** What `source` gives, as the columns of a record set. */
export function definitions(sync: Sync): string {
  const values = livingColumns(sync).map(({ columnType }, index) => `v${index} ${columnType}`);
  return ['r text', 'k text[]', 'o text[]', 'c timestamptz', ...values].join(', ');
}

/** Rows as one JSON parameter, which PostgreSQL reads into the types of the columns. */
export function source(sync: Sync, rows: readonly RowToPut[]): string {
  const columns = livingColumns(sync);
  return jsonText(
    rows.map(({ recordId, rowKey, cells, changedAt, only }) => ({
      r: recordId,
      k: rowKey,
      o: only ?? null,
      c: changedAt,
      ...Object.fromEntries(
        columns.map((column, index) => [`v${index}`, columnValue(column, cells[column.fieldId])]),
      ),
    })),
  );
}

/** Whether `t` is the row of the key in `src`. */
export function sameKey({ keyColumns, keyTypes }: Sync): string {
  return keyColumns
    .map((column, index) => `t.${quoted(column)} = (src.k)[${index + 1}]::${keyTypes[index] ?? 'text'}`)
    .join(' AND ');
}

function keyOf({ keyColumns }: Sync): string {
  return `ARRAY[${keyColumns.map((column) => `t.${quoted(column)}::text`).join(', ')}]`;
}
