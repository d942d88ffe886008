import type { EntityManager } from 'typeorm';
import { AppError } from '../../errors.ts';
import { targetName, type Sync } from '../sync.ts';
import { quotedTable } from './identifiers.ts';
import type { TargetShape } from './target-table.ts';

type Target = Pick<Sync, 'targetSchema' | 'targetTable'>;

/**
 * Whether the rows of a table that is there can be told apart from rows that only can not be seen, or that belong to another
 * table as well: else what is hidden would be taken for deleted.
 * @throws AppError TARGET_UNFIT
 */
export async function requireFit(sql: Pick<EntityManager, 'query'>, target: Target): Promise<void> {
  const [table] = await sql.query<{ isFiltered: boolean; isPart: boolean; hasParts: boolean }[]>(
    `SELECT row_security_active(c.oid) AS "isFiltered",
            EXISTS (SELECT 1 FROM pg_inherits WHERE inhrelid = c.oid) AS "isPart",
            c.relkind <> 'p' AND EXISTS (SELECT 1 FROM pg_inherits WHERE inhparent = c.oid) AS "hasParts"
     FROM pg_class AS c WHERE c.oid = to_regclass($1)`,
    [quotedTable(target)],
  );
  if (!table) return;
  const name = targetName(target);
  if (table.isFiltered)
    throw unfit(
      `Row level security hides rows of ${name} from this server, and what is hidden would be taken for deleted. Let its role see all rows (BYPASSRLS, or as the owner of the table), or take another table.`,
    );
  if (table.isPart)
    throw unfit(
      `${name} is a partition, or inherits from another table. Name the table that it is a part of.`,
    );
  if (table.hasParts)
    throw unfit(
      `Other tables inherit from ${name}, so their rows would be taken for its own. Take another table.`,
    );
}

/** @throws AppError TARGET_UNFIT when rows are told apart by other columns than they were */
export function requireSameKey(
  sync: Target & Pick<Sync, 'keyColumns'>,
  { keyColumns }: Pick<TargetShape, 'keyColumns'>,
): void {
  if (
    keyColumns.length === sync.keyColumns.length &&
    keyColumns.every((name, at) => name === sync.keyColumns[at])
  )
    return;
  const now = keyColumns.length === 0 ? 'none any more' : `(${keyColumns.join(', ')}) now`;
  throw unfit(
    `The primary key of ${targetName(sync)} was (${sync.keyColumns.join(', ')}) and is ${now}, so its rows can not be told apart as before. Give it the former key again, or delete the sync and create it anew.`,
  );
}

function unfit(message: string): AppError {
  return new AppError('TARGET_UNFIT', message);
}
