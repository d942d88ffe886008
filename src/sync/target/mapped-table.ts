import type { TableSchema } from '../../bases/table-schema.ts';
import { AppError } from '../../errors.ts';
import { suggestion } from '../../nearest-name.ts';
import { fieldOf, kindOf, unfitColumn } from '../values/column-types.ts';
import { targetName, type MappedColumn, type Sync } from '../sync.ts';
import type { TargetShape } from './target-table.ts';

/** A field, by id or exact name, and the column that it goes to. */
export interface ColumnWish {
  field: string;
  column: string;
}

/**
 * What of an existing table belongs to which field.
 * @throws AppError FIELD_NOT_FOUND; TARGET_UNFIT, naming the column that is missing, can't be written, or can't hold the field
 */
export function mapColumns(
  target: Pick<Sync, 'targetSchema' | 'targetTable'>,
  shape: TargetShape,
  table: TableSchema,
  wishes: readonly ColumnWish[],
): Pick<Sync, 'columns' | 'keyColumns' | 'keyTypes'> {
  const name = targetName(target);
  if (shape.keyColumns.length === 0)
    throw unfit(`The table ${name} has no primary key, by which its rows could be told apart. Give it one.`);
  const byName = new Map(shape.columns.map((column) => [column.name, column]));
  const used = new Set<string>();
  const columns = wishes.map((wish): MappedColumn => {
    const field = table.getField(wish.field);
    const column = byName.get(wish.column);
    const quotedName = JSON.stringify(wish.column.slice(0, 100));
    if (!column)
      throw unfit(`The table ${name} has no column ${quotedName}.${suggestion(wish.column, byName.keys())}`);
    if (column.generated)
      throw unfit(`The column ${quotedName} of ${name} is generated: nobody can write to it.`);
    if (used.has(column.name)) throw unfit(`The column ${quotedName} of ${name} is given to two fields.`);
    used.add(column.name);
    const stored = fieldOf(field);
    const fitting = unfitColumn(stored, column);
    if (fitting)
      throw unfit(
        `The column ${quotedName} of ${name} is ${column.type}, which can not hold the field ${JSON.stringify(field.name)} (${field.type}, ${kindOf(stored)}). One of these can: ${fitting.join(', ')}.`,
      );
    return { ...stored, column: column.name, columnType: column.type, goneAt: null };
  });
  return {
    columns,
    keyColumns: shape.keyColumns,
    keyTypes: shape.keyColumns.map((key) => byName.get(key)?.type ?? 'text'),
  };
}

function unfit(message: string): AppError {
  return new AppError('TARGET_UNFIT', message);
}
