import { operationSchemas } from '../bases/schema.ts';
import type { TableSchema } from '../bases/table-schema.ts';
import { AppError } from '../errors.ts';
import type { GraphQLContext } from '../graphql/context.ts';
import { passesTest } from '../records/filters/cell-match.ts';
import { fitsTable, testsFor, type RecordConditions } from '../records/filters/record-conditions.ts';
import { fieldsOf, requireRecordedFields } from '../records/filters/recorded-fields.ts';
import { testKey, type RecordTest } from '../records/filters/record-test.ts';
import type { CellFilter } from './change-filter.ts';
import type { Feed } from './feed.ts';
import { isOutdated, type LogStanding } from './log-standing.ts';
import { doubtedAfterMs } from './table-fields.ts';

/**
 * The argument `filter`, checked against a table that is no older than the newest change of the schema in the log.
 * @throws AppError INVALID_INPUT without the one table that it is about, FILTER_NOT_EXACT for computed fields, and what
 *   the same filter throws in a listing
 */
export async function cellFilterOf(
  conditions: RecordConditions,
  tableIdOrName: string | null | undefined,
  connectionId: number,
  feed: Feed,
  context: GraphQLContext,
): Promise<{ tableId: string; cells: CellFilter }> {
  // In this order: what the log tells of the schema up to here, the table below has.
  const standing = await context.app.logStandings.of(feed.id);
  const table = await tableToFilter(conditions, tableIdOrName, connectionId, { feed, standing }, context);
  const test: RecordTest = { kind: 'all', parts: testsFor(conditions, table) };
  requireRecordedFields(test);
  return {
    tableId: table.id,
    cells: {
      fields: new Map(fieldsOf(test).map(({ id, name, type }) => [id, { name, type }])),
      checkedAt: standing.head,
      passes: (cells, isComplete) => passesTest(test, cells, isComplete),
      toJSON: () => testKey(test),
    },
  };
}

async function tableToFilter(
  conditions: RecordConditions,
  tableIdOrName: string | null | undefined,
  connectionId: number,
  { feed, standing }: { feed: Feed; standing: LogStanding },
  context: GraphQLContext,
): Promise<TableSchema> {
  const schemas = operationSchemas(context);
  const known = await schemas.load(connectionId, feed.baseId);
  const schema = isOutdated(known.readAt, standing) ? await schemas.renew(known, connectionId) : known;
  const [only, ...others] = schema.tables;
  if (tableIdOrName == null && (!only || others.length > 0)) {
    throw new AppError(
      'INVALID_INPUT',
      `"filter" needs "tableId": it is about the fields of one table, and the base ${feed.baseId} has ${schema.tables.length}. Subscribe once for each table that you filter.`,
      { details: { argument: 'tableId', baseId: feed.baseId } },
    );
  }
  return schemas.table(
    connectionId,
    feed.baseId,
    tableIdOrName ?? only!.id,
    [],
    (table) => fitsTable(conditions, table),
    doubtedAfterMs,
  );
}
