import type { FieldNode, GraphQLResolveInfo } from 'graphql';
import { operationSchemas } from '../bases/schema.ts';
import type { TableSchema } from '../bases/table-schema.ts';
import { requireId } from '../calendly/ids.ts';
import { perOperation, type GraphQLContext } from '../graphql/context.ts';
import { pendingWork } from '../graphql/pending-work.ts';
import type { FieldSet } from './field-set.ts';
import { RecordAllowance } from './record-allowance.ts';
import type { RecordNode } from './record-node.ts';
import { RecordPlanner, type OpenApi } from './record-planner.ts';
import { fieldSetOf, fieldsBehindLinks, namesIn, type RecordSelection } from './record-selection.ts';
import { recordSelection } from './selected-record.ts';

export const readScopes = ['data.records:read'];
export const writeScopes = ['data.records:write'];

/** Opens the upstream in the name of this operation, to read records. */
export function openForReading({ app, operation }: GraphQLContext): OpenApi {
  return (connectionId) => app.upstream.api(connectionId, operation, readScopes);
}

/** The one planner of the operation. */
export const recordPlanner = perOperation(
  (context) =>
    new RecordPlanner({
      openApi: openForReading(context),
      operation: context.operation,
      schemas: operationSchemas(context),
      pending: pendingWork(context),
      inFlight: context.app.recordReads.lookups,
    }),
);

/** How many records the operation may still give. */
export const recordAllowance = perOperation(() => new RecordAllowance());

/** What has been worked out of the document. Sibling records are resolved with the same nodes, so this pays per place. */
const selections = perOperation(() => new WeakMap<readonly FieldNode[], RecordSelection>());
const fieldSets = perOperation(() => new WeakMap<RecordSelection, Map<TableSchema, FieldSet>>());

/** What is asked of the records that the field being resolved gives. */
export function selectionHere(context: GraphQLContext, info: GraphQLResolveInfo): RecordSelection {
  const known = selections(context).get(info.fieldNodes);
  if (known) return known;
  const selection = recordSelection(info, info.fieldNodes);
  selections(context).set(info.fieldNodes, selection);
  return selection;
}

export interface TablePlace {
  connectionId: number;
  baseId: string;
}

/** The cells that a selection needs of a table; tells the planner what the links below it will need. */
export function fieldsNeeded(
  context: GraphQLContext,
  { connectionId, baseId }: TablePlace,
  table: TableSchema,
  selection: RecordSelection,
): FieldSet {
  const memory = fieldSets(context);
  let byTable = memory.get(selection);
  if (!byTable) memory.set(selection, (byTable = new Map<TableSchema, FieldSet>()));
  const known = byTable.get(table);
  if (known) return known;
  const fields = fieldSetOf(selection, table);
  byTable.set(table, fields);
  const base = operationSchemas(context).ready(connectionId, baseId);
  if (base && selection.links.length > 0) {
    const planner = recordPlanner(context);
    for (const [tableId, behind] of fieldsBehindLinks(selection, table, base)) {
      planner.expect(connectionId, baseId, tableId, behind);
    }
  }
  return fields;
}

/**
 * The records with these ids, each null when the table does not have it, or the error that met it. Lookups of the whole
 * operation share their calls. The caller's right to the base must have been checked.
 * @throws AppError TOO_MANY when the operation would give more records than it may, and what reading the schema throws
 * @param tableIdOrName checked against the live schema
 * @param level 1 for what needs no other record of the operation
 */
export async function lookUp(
  context: GraphQLContext,
  place: TablePlace,
  tableIdOrName: string,
  ids: readonly string[],
  selection: RecordSelection,
  level: number,
): Promise<(RecordNode | null | Error)[]> {
  const { connectionId, baseId } = place;
  const schemas = operationSchemas(context);
  const table = await pendingWork(context).preparing(
    level,
    schemas.table(connectionId, baseId, tableIdOrName, namesIn(selection)),
  );
  return loadAll(context, place, table, ids, selection, level);
}

/** The same for a table at hand. */
export async function loadAll(
  context: GraphQLContext,
  { connectionId, baseId }: TablePlace,
  table: TableSchema,
  ids: readonly string[],
  selection: RecordSelection,
  level: number,
): Promise<(RecordNode | null | Error)[]> {
  recordAllowance(context).take(ids.length);
  const planner = recordPlanner(context);
  const fields = fieldsNeeded(context, { connectionId, baseId }, table, selection);
  return Promise.all(
    ids.map(async (recordId) => {
      try {
        requireId('rec', recordId);
        return await planner.load({ connectionId, baseId, table, recordId, fields }, level);
      } catch (error) {
        return error instanceof Error ? error : new Error('A lookup failed', { cause: error });
      }
    }),
  );
}

/** For fields that give a list: the executor raises an error that stands in a list at the path of its item. */
export function itemsOf(found: readonly (RecordNode | null | Error)[]): (RecordNode | null)[] {
  return found as (RecordNode | null)[];
}

/** For fields that give one record. */
export function oneOf(found: readonly (RecordNode | null | Error)[]): RecordNode | null {
  const [record = null] = found;
  if (record instanceof Error) throw record;
  return record;
}
