import type { FieldSchema } from '../../bases/table-schema.ts';
import { AppError } from '../../errors.ts';
import type { RecordTest } from './record-test.ts';

/** The fields that a test looks at. */
export function fieldsOf(test: RecordTest): FieldSchema[] {
  switch (test.kind) {
    case 'all':
    case 'any':
      return test.parts.flatMap(fieldsOf);
    case 'not':
      return fieldsOf(test.part);
    default:
      return [test.field];
  }
}

/**
 * Lets a test through if each change of what it looks at is recorded by the upstream. Values that it computes are not:
 * they change with other records and with the clock, may come after the change that they follow from, and need not
 * come with a new record.
 * @throws AppError FILTER_NOT_EXACT naming a computed field
 */
export function requireRecordedFields(test: RecordTest): void {
  const computed = fieldsOf(test).find((field) => field.computed);
  if (!computed) return;
  throw new AppError(
    'FILTER_NOT_EXACT',
    `Changes can't be filtered by the field ${JSON.stringify(computed.name)} of type ${computed.type}: the service computes it, and does not record each time that it comes to something else. Filter by the fields that it is computed from, or look at it in the "liveRecord" of each change.`,
    { details: { argument: 'filter', field: computed.name, type: computed.type } },
  );
}
