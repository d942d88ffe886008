import { ApiError } from '../api-error.ts';
import type { FieldDoc, RecordDoc, TableDoc, ViewDoc } from '../bases/documents.ts';
import { findField } from '../bases/fields.ts';
import type { SandboxContext } from '../context.ts';
import { FormulaError } from '../formula/formula-error.ts';
import { evaluate, type Formula } from '../formula/formula.ts';
import { recordIdsOf } from '../formula/record-ids.ts';
import { includes } from '../formula/value.ts';
import type { ListParameters } from './list-parameters.ts';
import { orderRecords, type Sort } from './order.ts';
import { showRecord, type ShownRecord } from './record-shape.ts';

type ListContext = Pick<
  SandboxContext,
  'bases' | 'cells' | 'formulas' | 'iterators' | 'records' | 'settings'
>;

/** One page of records. Every parameter is checked on every page, even where the iterator already knows the records. */
export function listRecords(
  context: ListContext,
  table: TableDoc,
  parameters: ListParameters,
): { records: ShownRecord[]; offset?: string } {
  const fields = parameters.fields?.map((nameOrId) => knownField(table, nameOrId));
  const sorts = parameters.sort.map(({ field, direction }) => ({
    field: knownField(table, field),
    direction,
  }));
  const view = parameters.view === undefined ? undefined : findView(context, table, parameters.view);
  const filter = filterFormula(context, table, parameters.filterByFormula);
  const pageSize = Math.max(1, Math.min(parameters.pageSize, context.settings.limits.pageCap));

  const { page, offset } =
    parameters.offset === undefined
      ? context.iterators.open(
          matchingIds(context, table, view, filter, sorts, parameters.maxRecords),
          pageSize,
        )
      : context.iterators.next(parameters.offset, pageSize);

  const collection = context.records.of(table.id);
  const shape = { ...parameters, fields };
  // A record that was deleted since the listing began is passed over.
  const found = page.map((id) => collection.get(id)).filter((record) => record !== undefined);
  const records = found.map((record) => showRecord(context.cells, table, record, shape));
  return offset === undefined ? { records } : { records, offset };
}

/** The ids of all records that the filter keeps, in order. */
function matchingIds(
  context: ListContext,
  table: TableDoc,
  view: ViewDoc | undefined,
  filter: Formula | undefined,
  sorts: Sort[],
  maxRecords: number | undefined,
): string[] {
  const viewSorts = view?.sort?.flatMap(({ fieldId, direction }) => {
    const field = findField(table, fieldId);
    return field === undefined ? [] : [{ field, direction }];
  });
  const order = sorts.length > 0 ? sorts : (viewSorts ?? []);
  // Without an order to establish, the first `maxRecords` matches are the answer and the scan may stop.
  const enough = order.length > 0 ? undefined : maxRecords;
  let records = filteredRecords(
    context,
    table,
    filter,
    view?.filterFormula === undefined ? enough : undefined,
  );
  if (view?.filterFormula !== undefined) {
    records = keep(context, table, records, context.formulas.parse(view.filterFormula));
  }
  if (order.length > 0) records = orderRecords(context.cells, table, records, order);
  const ids = records.map((record) => record.id);
  return maxRecords === undefined ? ids : ids.slice(0, maxRecords);
}

function filteredRecords(
  context: ListContext,
  table: TableDoc,
  filter: Formula | undefined,
  enough: number | undefined,
): RecordDoc[] {
  const collection = context.records.of(table.id);
  if (filter === undefined) return takeFirst(collection.values(), enough);
  const wanted = recordIdsOf(filter);
  if (wanted === null) return keep(context, table, collection.values(), filter, enough);
  const found = [...new Set(wanted)].map((id) => collection.get(id)).filter((record) => record !== undefined);
  found.sort((a, b) => (a.autoNumber ?? 0) - (b.autoNumber ?? 0));
  return found;
}

function takeFirst(records: IterableIterator<RecordDoc>, enough: number | undefined): RecordDoc[] {
  if (enough === undefined) return [...records];
  const first: RecordDoc[] = [];
  for (const record of records) {
    if (first.length >= enough) break;
    first.push(record);
  }
  return first;
}

function keep(
  context: ListContext,
  table: TableDoc,
  records: Iterable<RecordDoc>,
  formula: Formula,
  enough = Number.POSITIVE_INFINITY,
): RecordDoc[] {
  const kept: RecordDoc[] = [];
  let view: ReturnType<ListContext['cells']['formulaView']> | undefined;
  for (const record of records) {
    if (kept.length >= enough) break;
    view = view?.turnTo(record) ?? context.cells.formulaView(table, record);
    if (includes(evaluate(formula, view))) kept.push(record);
  }
  return kept;
}

/** Whether a view shows the record now. */
export function viewShows(
  context: Pick<SandboxContext, 'cells' | 'formulas'>,
  table: TableDoc,
  view: ViewDoc,
  record: RecordDoc,
): boolean {
  if (view.filterFormula === undefined) return true;
  const formula = context.formulas.parse(view.filterFormula);
  return includes(evaluate(formula, context.cells.formulaView(table, record)));
}

/** Throws 422 UNKNOWN_FIELD_NAME. */
export function knownField(table: TableDoc, nameOrId: string): FieldDoc {
  const field = findField(table, nameOrId);
  if (field === undefined) throw new ApiError(422, 'UNKNOWN_FIELD_NAME', `Unknown field name: "${nameOrId}"`);
  return field;
}

function filterFormula(context: ListContext, table: TableDoc, text: string | undefined): Formula | undefined {
  if (text === undefined) return undefined;
  try {
    return context.formulas.parseFor(table, text);
  } catch (error) {
    if (error instanceof FormulaError) throw new ApiError(422, 'INVALID_FILTER_BY_FORMULA', error.message);
    throw error;
  }
}

function findView(context: ListContext, table: TableDoc, idOrName: string): ViewDoc {
  const view =
    table.views.find(({ id }) => id === idOrName) ?? table.views.find(({ name }) => name === idOrName);
  if (view !== undefined) return view;
  const elsewhere = context.bases
    .tables(table.baseId)
    .some((other) => other.views.some(({ id }) => id === idOrName));
  if (elsewhere) throw new ApiError(422, 'FAILED_STATE_CHECK');
  const looksLikeId = /^viw[0-9A-Za-z]{14}$/.test(idOrName);
  throw new ApiError(
    422,
    looksLikeId ? 'VIEW_ID_NOT_FOUND' : 'VIEW_NAME_NOT_FOUND',
    `View ${idOrName} not found`,
  );
}
