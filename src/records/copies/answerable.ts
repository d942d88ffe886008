import type { FieldSchema, TableSchema } from '../../bases/table-schema.ts';
import type { FieldSet } from '../field-set.ts';
import { fieldsOf } from '../filters/recorded-fields.ts';
import { textsOf, type RecordTest } from '../filters/record-test.ts';
import { isCopied } from './field-shapes.ts';
import type { LiveReason } from './live-reason.ts';
import { replacement } from './replaced-text.ts';
import { isOrderDocumented, type SortField } from './sort-order.ts';

/** What is asked of a table, as far as it matters to whether a copy can answer. */
export interface CopyQuestion {
  table: TableSchema;
  fields: FieldSet;
  tests: readonly RecordTest[];
  sort: readonly SortField[];
}

/** Why no copy can give what the upstream would; null where one can. */
export function unanswerable(question: CopyQuestion): LiveReason | null {
  if (!question.sort.every(({ field }) => isOrderDocumented(field))) return 'ORDER_NOT_DOCUMENTED';
  if (question.tests.some(asksForReplacement)) return 'NOT_COPIED';
  return fieldsIn(question).every(isCopied) ? null : 'NOT_COPIED';
}

/** All fields that have a part in the answer. */
export function fieldsIn({ table, fields, tests, sort }: CopyQuestion): FieldSchema[] {
  const shown = fields === 'all' ? table.fields : table.fields.filter(({ id }) => fields.has(id));
  return [...shown, ...tests.flatMap(fieldsOf), ...sort.map(({ field }) => field)];
}

function asksForReplacement(test: RecordTest): boolean {
  return textsOf(test).some((text) => text.includes(replacement));
}
