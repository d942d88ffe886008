import type { FieldDoc, RecordDoc, TableDoc } from '../bases/documents.ts';
import type { Cells } from './cells.ts';
import { textCell, type TextFormat } from './text-cells.ts';

/** How the caller wants records written. */
export interface RecordShape {
  /** Only these; undefined is all. */
  fields?: FieldDoc[];
  /** Cells as text; undefined is as JSON. */
  text?: TextFormat;
  byFieldId: boolean;
  commentCount?: boolean;
  /** Link cells as objects `{id}` in place of bare ids. */
  dateDependencyMetadata?: boolean;
}

export interface ShownRecord {
  id: string;
  createdTime: string;
  fields: Record<string, unknown>;
  commentCount?: number;
}

/** The record object of all record endpoints; empty cells are left out. */
export function showRecord(
  cells: Cells,
  table: TableDoc,
  record: RecordDoc,
  shape: RecordShape,
): ShownRecord {
  const fields: Record<string, unknown> = {};
  for (const field of shape.fields ?? table.fields) {
    const value = showCell(cells, table, record, field, shape);
    if (value !== undefined) fields[shape.byFieldId ? field.id : field.name] = value;
  }
  const shown: ShownRecord = { id: record.id, createdTime: record.createdTime, fields };
  if (shape.commentCount === true && record.commentCount) shown.commentCount = record.commentCount;
  return shown;
}

function showCell(
  cells: Cells,
  table: TableDoc,
  record: RecordDoc,
  field: FieldDoc,
  shape: RecordShape,
): unknown {
  if (shape.text !== undefined) return textCell(cells, table, record, field, shape.text);
  const value = cells.read(table, record, field);
  if (shape.dateDependencyMetadata === true && field.type === 'multipleRecordLinks') {
    return (value as string[] | undefined)?.map((id) => ({ id }));
  }
  return value;
}
