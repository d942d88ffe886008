import type { FieldSchema, TableSchema } from '../../bases/table-schema.ts';
import { maxMergeFields } from '../../calendly/api.ts';
import { AppError } from '../../errors.ts';
import type { FirstSeen } from './first-seen.ts';
import type { WriteFault } from './write-result.ts';

/** Types of fields that the upstream can match records by. */
const mergeableTypes = new Set([
  'number',
  'singleLineText',
  'multilineText',
  'email',
  'url',
  'phoneNumber',
  'singleSelect',
  'multipleSelects',
  'date',
]);

/**
 * The fields that an upsert matches by.
 * @throws AppError INVALID_INPUT or FIELD_NOT_FOUND with the argument that is at fault
 */
export function mergeFieldsOf(table: TableSchema, names: readonly string[]): FieldSchema[] {
  const argument = 'fieldsToMergeOn';
  if (names.length < 1 || names.length > maxMergeFields) {
    throw new AppError(
      'INVALID_INPUT',
      `"${argument}" must name 1 to ${maxMergeFields} fields, not ${names.length}.`,
      {
        details: { argument },
      },
    );
  }
  const fields = names.map((name) => table.getField(name));
  const repeated = fields.find((field, index) => fields.indexOf(field) < index);
  if (repeated) {
    throw new AppError('INVALID_INPUT', `"${argument}" names ${JSON.stringify(repeated.name)} twice.`, {
      details: { argument },
    });
  }
  const unfit = fields.find(({ type }) => !mergeableTypes.has(type));
  if (unfit) {
    throw new AppError(
      'INVALID_INPUT',
      `Records cannot be merged on ${JSON.stringify(unfit.name)} of type ${unfit.type}. Take a number, text, select or date field that is not computed.`,
      { details: { argument } },
    );
  }
  return fields;
}

/** Without all of them, or with nothing in any, a record would be merged into one that merely lacks the same cells. */
export function mergeFaults(
  fields: Record<string, unknown>,
  mergeFields: readonly FieldSchema[],
  index: number,
  seen: FirstSeen,
  path: string[],
): WriteFault[] {
  const missing = mergeFields.filter(({ id }) => !Object.hasOwn(fields, id));
  if (missing.length > 0) {
    return missing.map(({ name }) => ({
      path: [...path, name],
      code: 'INVALID_INPUT',
      message: `Records are merged on ${JSON.stringify(name)}, so give it, or the "id" of the record.`,
    }));
  }
  if (mergeFields.every(({ id }) => isBlank(fields[id]))) {
    return mergeFields.map(({ name }) => ({
      path: [...path, name],
      code: 'INVALID_INPUT',
      message: `Records are merged on ${JSON.stringify(name)}, which is empty here and would match any record that lacks it. Give it a value, or the "id" of the record.`,
    }));
  }
  const first = seen.at(JSON.stringify(mergeFields.map(({ id }) => fields[id])), index);
  if (first === index) return [];
  const names = mergeFields.map(({ name }) => JSON.stringify(name)).join(', ');
  return [
    {
      path,
      code: 'INVALID_INPUT',
      message: `It has the same ${names} as record ${first} of this write. Give one of them.`,
    },
  ];
}

function isBlank(value: unknown): boolean {
  return value == null || value === '' || (Array.isArray(value) && value.length === 0);
}
