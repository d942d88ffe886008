import { operationSchemas } from '../../bases/schema.ts';
import { isUpstreamId, requireId } from '../../calendly/ids.ts';
import { cellFilterOf } from '../../changes/filter-fields.ts';
import type { ChangeKind } from '../../changes/log-entry.ts';
import { AppError } from '../../errors.ts';
import type { GraphQLContext } from '../../graphql/context.ts';
import { InvalidInput, type InputFault } from '../../graphql/invalid-input.ts';
import { requireListLength } from '../../graphql/list-slice.ts';
import type { RecordFilter } from '../../records/filters/filter.ts';
import { readConditions } from '../../records/filters/record-conditions.ts';
import { readAction } from './action-fields.ts';
import { storeCellFilter } from './stored-cell-filter.ts';
import type { TriggerPlace, TriggerSettings } from './stored-triggers.ts';

/** Longest name, in characters. */
const maxNameCharacters = 100;

/** What somebody says of a trigger. */
export interface GivenSettings {
  name: string;
  kinds?: readonly ChangeKind[] | null;
  fields?: readonly string[] | null;
  filter?: RecordFilter | null;
  endpoint?: string | null;
  action?: unknown;
}

/**
 * The base and the table that a trigger is to listen to. The table is looked up where the grant allows it, so that a slip
 * does not make a trigger that never fires.
 * @throws AppError CONNECTION_NOT_FOUND, BASE_NOT_FOUND, TABLE_NOT_FOUND, INVALID_INPUT
 */
export async function readPlace(
  given: { connection: number; baseId: string; tableId: string },
  context: GraphQLContext,
): Promise<TriggerPlace> {
  const { connection: connectionId, baseId } = given;
  requireId('app', baseId, 'baseId');
  context.caller.requireBase(connectionId, baseId);
  const connection = await context.app.connections.get(connectionId);
  const isBlind = !connection.grantedScopes.includes('schema.bases:read');
  if (isBlind && isUpstreamId('tbl', given.tableId)) return { connectionId, baseId, tableId: given.tableId };
  const table = await operationSchemas(context).table(connectionId, baseId, given.tableId);
  return { connectionId, baseId, tableId: table.id };
}

/**
 * @param stored of a trigger that is edited: what is not given stays as it is, and is not looked up again
 * @throws InvalidInput with the faults of name and endpoint; AppError of what does not fit the table
 */
export async function readSettings(
  given: GivenSettings,
  place: TriggerPlace,
  context: GraphQLContext,
  stored: TriggerSettings | null = null,
): Promise<TriggerSettings> {
  const faults = [...nameFaults(given.name), ...targetFaults(given, context, stored)];
  if (given.kinds?.length === 0)
    faults.push({ path: ['kinds'], message: 'Kinds must not be empty: leave them out for all' });
  if (given.fields?.length === 0)
    faults.push({ path: ['fields'], message: 'Fields must not be empty: leave them out for all' });
  if (faults.length > 0) throw new InvalidInput(faults);
  requireListLength('fields', given.fields?.length ?? 0);
  return {
    name: given.name,
    kinds: given.kinds ? [...new Set(given.kinds)] : null,
    fieldIds:
      stored && given.fields === undefined
        ? stored.fieldIds
        : given.fields
          ? await fieldIds(given.fields, place, context)
          : null,
    ...(stored && given.filter === undefined
      ? { filter: stored.filter, cellFilter: stored.cellFilter }
      : await readFilter(given.filter ?? null, place, context)),
    endpointUrl:
      given.endpoint == null
        ? (stored?.endpointUrl ?? null)
        : context.app.triggers.endpoints.readUrl(given.endpoint).href,
    action: given.action == null ? (stored?.action ?? null) : await readAction(given.action, place, context),
  };
}

/** The filter as it stands now, held against the table. */
export async function readFilter(
  filter: RecordFilter | null,
  { connectionId, baseId, tableId }: TriggerPlace,
  context: GraphQLContext,
): Promise<Pick<TriggerSettings, 'filter' | 'cellFilter'>> {
  if (filter === null) return { filter: null, cellFilter: null };
  const conditions = readConditions({ filter });
  const { feed } = await context.app.webhooks.ensure(connectionId, baseId, context.operation);
  const { cells } = await cellFilterOf(conditions, tableId, connectionId, feed, context);
  return { filter, cellFilter: storeCellFilter(cells) };
}

async function fieldIds(
  idsOrNames: readonly string[],
  { connectionId, baseId, tableId }: TriggerPlace,
  context: GraphQLContext,
): Promise<string[]> {
  const connection = await context.app.connections.get(connectionId);
  const isBlind = !connection.grantedScopes.includes('schema.bases:read');
  if (isBlind && idsOrNames.every((one) => isUpstreamId('fld', one))) return [...new Set(idsOrNames)];
  const table = await operationSchemas(context).table(connectionId, baseId, tableId, idsOrNames);
  return [...new Set(idsOrNames.map((one) => table.getField(one).id))];
}

function nameFaults(name: string): InputFault[] {
  const fault = (message: string) => [{ path: ['name'], message }];
  if (name.trim() === '') return fault('Trigger name must be at least 1 character');
  if ([...name].length > maxNameCharacters)
    return fault(`Trigger name must not exceed ${maxNameCharacters} characters`);
  // PostgreSQL stores neither.
  if (/\0|\p{Surrogate}/u.test(name))
    return fault('Trigger name must consist of whole, printable characters');
  return [];
}

/** What there is to be done: exactly one of the two. */
function targetFaults(
  { endpoint, action }: GivenSettings,
  { app }: GraphQLContext,
  stored: TriggerSettings | null,
): InputFault[] {
  const isGiven = endpoint != null || action != null;
  if (stored ? endpoint != null && action != null : !isGiven || (endpoint != null && action != null)) {
    const message = 'Give either an endpoint or an action, and not both';
    return [{ path: [endpoint == null ? 'endpoint' : 'action'], message }];
  }
  if (endpoint == null) return [];
  try {
    app.triggers.endpoints.readUrl(endpoint);
    return [];
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    return [{ path: ['endpoint'], message: error.message }];
  }
}
