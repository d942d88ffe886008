import type { EntityManager } from 'typeorm';
import type { TableSchema } from '../../bases/table-schema.ts';
import { targetName, type Sync } from '../sync.ts';
import { requireFit } from './fit-table.ts';
import { ownColumns } from './follow-schema.ts';
import { mapColumns, type ColumnWish } from './mapped-table.ts';
import { refuseServerTable } from './server-tables.ts';
import {
  createTargetTable,
  freeTableName,
  ownKey,
  ownSchema,
  readTargetShape,
  targetNotFound,
} from './target-table.ts';

/** What somebody wants of the target of a new sync. */
export interface TargetWish {
  /** Null for a table that is to be made. */
  target: Pick<Sync, 'targetSchema' | 'targetTable'> | null;
  columns: readonly ColumnWish[] | null;
}

/**
 * The target of a new sync, made in the caller's transaction unless it is there.
 * @throws AppError TARGET_NOT_FOUND, TARGET_UNFIT
 */
export async function targetFor(
  sql: EntityManager,
  wish: TargetWish,
  table: TableSchema,
): Promise<Pick<Sync, 'targetSchema' | 'targetTable' | 'owned' | 'keyColumns' | 'keyTypes' | 'columns'>> {
  if (wish.target) {
    await refuseServerTable(sql, wish.target);
    await requireFit(sql, wish.target);
    const shape = await readTargetShape(sql, wish.target);
    if (!shape) throw targetNotFound(targetName(wish.target));
    return { ...wish.target, owned: false, ...mapColumns(wish.target, shape, table, wish.columns ?? []) };
  }
  const target = { targetSchema: ownSchema, targetTable: await freeTableName(sql, table.name) };
  const columns = ownColumns(table);
  await createTargetTable(sql, target, columns);
  return { ...target, owned: true, keyColumns: ownKey.columns, keyTypes: ownKey.types, columns };
}
