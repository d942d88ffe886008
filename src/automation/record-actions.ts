import { AppError } from '../errors.ts';
import { defaultPageLength } from '../graphql/list-slice.ts';
import { listPage } from '../records/record-page.ts';
import { selectsAll, type RecordSelection } from '../records/record-selection.ts';
import { oneOf } from '../records/record-work.ts';
import { ActionRefused, type ActionFault } from './action-errors.ts';
import { action, type ActionWork } from './action.ts';
import { recordJson } from './record-json.ts';
import {
  after,
  baseId,
  fieldNames,
  filter,
  first,
  formula,
  recordId,
  search,
  sort,
  tableId,
  view,
} from './settings.ts';

/** A page of a table's records. */
export const queryRecords = action(
  { baseId, tableId, fields: fieldNames, filter, formula, sort, view, search, first, after },
  async ({ fields, ...config }, work) => {
    const { records, connectionId } = work;
    const selection = await selectionOf(fields ?? null, config, work);
    const table = { connectionId, baseId: config.baseId, tableId: config.tableId, level: 0 };
    const wanted = { first: config.first ?? defaultPageLength, selection };
    const page = await records.pending.reading(1, listPage(records, table, config, wanted));
    return {
      records: page.nodes.map((node) => recordJson(node, fields ?? null)),
      pageInfo: { hasNextPage: page.hasNextPage, endCursor: page.cursorBehind(page.nodes.length - 1) },
    };
  },
);

/** One record; null when the table does not have it. */
export const getRecord = action(
  { baseId, tableId, recordId, fields: fieldNames },
  async ({ fields, ...config }, work) => {
    const { records, connectionId } = work;
    const selection = await selectionOf(fields ?? null, config, work);
    const place = { connectionId, baseId: config.baseId };
    const record = oneOf(await records.lookUp(place, config.tableId, [config.recordId], selection, 1));
    return { record: record && recordJson(record, fields ?? null) };
  },
);

/**
 * Which cells to read of a table that the caller may see. Names that the table does not have are refused before a record
 * is asked for.
 */
async function selectionOf(
  names: readonly string[] | null,
  place: { baseId: string; tableId: string },
  { records, connectionId }: ActionWork,
): Promise<RecordSelection> {
  records.caller.requireBase(connectionId, place.baseId);
  if (names === null) return selectsAll;
  const table = await records.schemas.table(connectionId, place.baseId, place.tableId, names);
  const faults = names.flatMap((name, index): ActionFault[] => {
    try {
      table.getField(name);
      return [];
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      return [{ path: ['config', 'fields', String(index)], message: error.message }];
    }
  });
  if (faults.length > 0) throw new ActionRefused(faults);
  return { names: new Set(names), links: [], needsRecord: true };
}
