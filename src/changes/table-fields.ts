import { suggestion } from '../nearest-name.ts';
import { operationSchemas } from '../bases/schema.ts';
import type { BaseSchema } from '../bases/base-schema.ts';
import type { TableSchema } from '../bases/table-schema.ts';
import { isUpstreamId } from '../calendly/ids.ts';
import { AppError } from '../errors.ts';
import type { GraphQLContext } from '../graphql/context.ts';

/**
 * A subscription that names what a schema of this age does not have is not refused before that was read again, in
 * milliseconds: who has just made a field subscribes to it next.
 */
export const doubtedAfterMs = 0;

/**
 * The argument `tableId`. Names are looked up in the schema; an id is taken as it is, so that a deleted table can still be
 * asked for.
 */
export async function tableIdOf(
  idOrName: string | null | undefined,
  connectionId: number,
  baseId: string,
  context: GraphQLContext,
): Promise<string | null> {
  if (idOrName == null || isUpstreamId('tbl', idOrName)) return idOrName ?? null;
  if (idOrName === '')
    throw new AppError('INVALID_INPUT', '"tableId" is empty. Leave it out to get the changes of all tables.');
  return (
    await operationSchemas(context).table(connectionId, baseId, idOrName, [], undefined, doubtedAfterMs)
  ).id;
}

/**
 * The argument `fields` as ids, so that renaming a field does not part it from its changes. Ids are taken as they are.
 * @throws AppError FIELD_NOT_FOUND for a name that the table, or without one every table of the base, lacks
 */
export async function fieldIdsOf(
  idsOrNames: readonly string[] | null | undefined,
  tableIdOrName: string | null | undefined,
  { connectionId, baseId }: { connectionId: number; baseId: string },
  context: GraphQLContext,
): Promise<ReadonlySet<string> | null> {
  if (!idsOrNames) return null;
  const names = idsOrNames.filter((one) => !isUpstreamId('fld', one));
  const ids = new Set(idsOrNames.filter((one) => isUpstreamId('fld', one)));
  if (names.length === 0) return ids;
  const schemas = operationSchemas(context);
  const hasAll = ({ tables }: BaseSchema): boolean =>
    names.every((name) => tables.some((table) => table.findField(name)));
  const tables =
    tableIdOrName == null
      ? (await schemas.fitting(connectionId, baseId, hasAll, doubtedAfterMs)).tables
      : [await schemas.table(connectionId, baseId, tableIdOrName, names, undefined, doubtedAfterMs)];
  for (const name of names) {
    const found = tables.flatMap((table) => table.findField(name)?.id ?? []);
    if (found.length === 0) throw fieldNotFound(name, tables);
    for (const id of found) ids.add(id);
  }
  return ids;
}

function fieldNotFound(name: string, tables: readonly TableSchema[]): AppError {
  const shown = name.slice(0, 100);
  const [only, ...more] = tables;
  const place =
    only && more.length === 0
      ? `The table ${JSON.stringify(only.name)} has no`
      : 'No table of the base has a';
  const names = tables.flatMap(({ fields }) => fields.map((field) => field.name));
  return new AppError(
    'FIELD_NOT_FOUND',
    `${place} field ${JSON.stringify(shown)}.${suggestion(name, names)}`,
    { details: { field: shown } },
  );
}
