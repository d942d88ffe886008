import { operationSchemas } from '../bases/schema.ts';
import { isUpstreamId } from '../calendly/ids.ts';
import { AppError } from '../errors.ts';
import type { GraphQLContext } from '../graphql/context.ts';

/** The argument `tableId`. Names are looked up in the schema; an id is taken as it is, so that a deleted table can still be asked for. */
export async function tableIdOf(
  idOrName: string | null | undefined,
  connectionId: number,
  baseId: string,
  context: GraphQLContext,
): Promise<string | null> {
  if (idOrName == null || isUpstreamId('tbl', idOrName)) return idOrName ?? null;
  if (idOrName === '')
    throw new AppError('INVALID_INPUT', '"tableId" is empty. Leave it out to get the changes of all tables.');
  return (await operationSchemas(context).table(connectionId, baseId, idOrName)).id;
}
