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
  name?: string | null;
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
 * A new trigger.
 * @throws InvalidInput with the faults of name and target; AppError of what does not fit the table
 */
export async function readSettings(
  given: GivenSettings & { name: string },
  place: TriggerPlace,
  context: GraphQLContext,
): Promise<TriggerSettings> {
  requireNoFaults(given, missingTargetFaults(given), context);
  return { ...nothingSaid, name: given.name, ...(await readGiven(given, place, context)) };
}

/**
 * What is to be different of a trigger, and nothing else: looking it up may take a while, in which others edit it too.
 * @throws as `readSettings`
 */
export async function readEdits(
  given: GivenSettings,
  place: TriggerPlace,
  context: GraphQLContext,
): Promise<Partial<TriggerSettings>> {
  requireNoFaults(given, [], context);
  return readGiven(given, place, context);
}

const nothingSaid: Omit<TriggerSettings, 'name'> = {
  kinds: null,
  fieldIds: null,
  filter: null,
  cellFilter: null,
  endpointUrl: null,
  action: null,
};

async function readGiven(
  { name, kinds, fields, filter, endpoint, action }: GivenSettings,
  place: TriggerPlace,
  context: GraphQLContext,
): Promise<Partial<TriggerSettings>> {
  const read: Partial<TriggerSettings> = {};
  if (name != null) read.name = name;
  if (kinds !== undefined) read.kinds = kinds && [...new Set(kinds)];
  if (fields !== undefined) read.fieldIds = fields && (await fieldIds(fields, place, context));
  if (filter !== undefined) Object.assign(read, await readFilter(filter, place, context));
  if (endpoint != null) read.endpointUrl = context.app.triggers.endpoints.readUrl(endpoint).href;
  if (action != null) read.action = await readAction(action, place, context);
  return read;
}

/** The filter as it stands now, held against the table. */
async function readFilter(
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

/** @throws InvalidInput with these faults and those that can be seen without a look at the table */
function requireNoFaults(given: GivenSettings, others: InputFault[], context: GraphQLContext): void {
  const { name, kinds, fields } = given;
  const faults = [...(name == null ? [] : nameFaults(name)), ...others, ...targetFaults(given, context)];
  if (kinds?.length === 0)
    faults.push({ path: ['kinds'], message: 'Kinds must not be empty: leave them out for all' });
  if (fields?.length === 0)
    faults.push({ path: ['fields'], message: 'Fields must not be empty: leave them out for all' });
  if (faults.length > 0) throw new InvalidInput(faults);
  requireListLength('fields', fields?.length ?? 0);
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

const eitherTarget = 'Give either an endpoint or an action, and not both';

function missingTargetFaults({ endpoint, action }: GivenSettings): InputFault[] {
  return endpoint == null && action == null ? [{ path: ['endpoint'], message: eitherTarget }] : [];
}

function targetFaults({ endpoint, action }: GivenSettings, { app }: GraphQLContext): InputFault[] {
  if (endpoint != null && action != null) return [{ path: ['action'], message: eitherTarget }];
  if (endpoint == null) return [];
  try {
    app.triggers.endpoints.readUrl(endpoint);
    return [];
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    return [{ path: ['endpoint'], message: error.message }];
  }
}
