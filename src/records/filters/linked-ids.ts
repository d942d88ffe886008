import type { BaseSchema } from '../../bases/base-schema.ts';
import type { FieldSchema, TableSchema } from '../../bases/table-schema.ts';
import { AppError } from '../../errors.ts';
import { readLinks } from '../cell-values.ts';
import type { LinkedIds } from './filter-formula.ts';
import { inverseFieldId } from './filter-kind.ts';
import type { RecordNode } from '../record-node.ts';
import type { RecordTest } from './record-test.ts';

/** Records that the links of one filter may lead to; each has a place in the formula. */
export const maxLinkedIds = 1_000;

/** Reads one record with one cell; lookups of the whole operation share their calls. */
export type LoadCell = (table: TableSchema, recordId: string, fieldId: string) => Promise<RecordNode | null>;

/**
 * Finds out, for each link that a filter asks for, which records have it. A formula sees no ids of linked records, but
 * the linked record names them in the field that leads back.
 * @throws AppError TOO_MANY above `maxLinkedIds`, FILTER_NOT_EXACT when the linked table can't be seen, and what `load`
 *   throws
 */
export async function findLinkedIds(
  tests: readonly RecordTest[],
  base: BaseSchema,
  load: LoadCell,
): Promise<LinkedIds> {
  const idsByLink = new Map<string, readonly string[]>();
  const links = [...linksIn({ kind: 'all', parts: tests })];
  await Promise.all(
    links.map(async ({ field, recordId }) => {
      const { table, inverse } = wayBack(field, base);
      const record = await load(table, recordId, inverse.id);
      idsByLink.set(`${field.id}/${recordId}`, record ? readLinks(inverse, record.cells[inverse.id]) : []);
    }),
  );
  const idsOf: LinkedIds = (field, recordIds) => [
    ...new Set(recordIds.flatMap((recordId) => idsByLink.get(`${field.id}/${recordId}`) ?? [])),
  ];
  const count = links.reduce((sum, { field, recordId }) => sum + idsOf(field, [recordId]).length, 0);
  if (count > maxLinkedIds) {
    throw new AppError(
      'TOO_MANY',
      `The records in "filter" are linked to ${count} others, and a filter takes ${maxLinkedIds} at most. Read them from the linked record with "linked".`,
      { details: { argument: 'filter', max: maxLinkedIds, given: count } },
    );
  }
  return idsOf;
}

function* linksIn(
  test: RecordTest,
  seen = new Set<string>(),
): Iterable<{ field: FieldSchema; recordId: string }> {
  if (test.kind === 'linked') {
    for (const recordId of test.recordIds) {
      const key = `${test.field.id}/${recordId}`;
      if (!seen.has(key)) yield { field: test.field, recordId };
      seen.add(key);
    }
  } else if (test.kind === 'not') yield* linksIn(test.part, seen);
  else if (test.kind === 'all' || test.kind === 'any')
    for (const part of test.parts) yield* linksIn(part, seen);
}

function wayBack(field: FieldSchema, base: BaseSchema): { table: TableSchema; inverse: FieldSchema } {
  const table = field.linkedTableId === null ? null : base.findTable(field.linkedTableId);
  const inverse = table?.findField(inverseFieldId(field) ?? '');
  if (table && inverse) return { table, inverse };
  throw new AppError(
    'FILTER_NOT_EXACT',
    `The links of the field ${JSON.stringify(field.name)} can't be filtered: the connection does not see the table behind it. Filter what you have read.`,
    { details: { argument: 'filter', field: field.name } },
  );
}
