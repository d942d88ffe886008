import type { TableSchema } from '../../bases/table-schema.ts';
import { AppError } from '../../errors.ts';
import { filterKindOf } from './filter-kind.ts';
import type { RecordTest } from './record-test.ts';

/** Longest text that is searched for, in characters. */
export const maxSearchLength = 200;

/**
 * The text that is looked for, without blanks around it; null when there is none.
 * @throws AppError INVALID_INPUT when it is too long
 */
export function searchText(search: string | null | undefined): string | null {
  const text = search?.trim() ?? '';
  if (text.length <= maxSearchLength) return text || null;
  throw new AppError('INVALID_INPUT', `"search" may have at most ${maxSearchLength} characters.`, {
    details: { argument: 'search', max: maxSearchLength },
  });
}

/**
 * Whether any field with texts has this one in it, whatever its case: texts of all kinds, single selects, and formulas
 * and rollups that give one of those.
 * @throws AppError INVALID_INPUT when the table has no such field
 */
export function searchTest(text: string, table: TableSchema): RecordTest {
  const fields = table.fields.filter((field) => ['text', 'choice'].includes(filterKindOf(field)));
  if (fields.length === 0) {
    throw new AppError(
      'INVALID_INPUT',
      `The table ${JSON.stringify(table.name)} has no field with texts to search. Use "filter".`,
      { details: { argument: 'search', tableId: table.id } },
    );
  }
  return {
    kind: 'any',
    parts: fields.map((field) => ({ kind: 'text', field, match: 'contains', text, ignoreCase: true })),
  };
}
