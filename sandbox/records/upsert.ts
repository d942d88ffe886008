import { ApiError, invalidRequest } from '../api-error.ts';
import type { FieldDoc, FieldType, TableDoc } from '../bases/documents.ts';
import type { SandboxContext } from '../context.ts';
import type { CellChanges } from './cell-input.ts';
import { knownField } from './list.ts';
import { sameJson } from './same-json.ts';

/** Number, text, long text, single select, multiple select and date; the other texts count as text. */
const MERGEABLE_TYPES: ReadonlySet<FieldType> = new Set([
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

/** Throws 422 for a field that is unknown, computed or of another type. */
export function mergeFieldsOf(table: TableDoc, namesOrIds: string[] | undefined): FieldDoc[] {
  return (namesOrIds ?? []).map((nameOrId) => {
    const field = knownField(table, nameOrId);
    if (MERGEABLE_TYPES.has(field.type)) return field;
    throw invalidRequest(`Invalid request: records cannot be merged on field "${field.name}".`);
  });
}

/** The one record with the same values in the merge fields; undefined if there is none. Throws 422 if there are several. */
export function matchRecord(
  context: Pick<SandboxContext, 'records'>,
  table: TableDoc,
  mergeFields: FieldDoc[],
  wanted: CellChanges,
): string | undefined {
  let match: string | undefined;
  for (const record of context.records.of(table.id).values()) {
    if (!mergeFields.every(({ id }) => sameValue(record.cells[id], wanted.get(id)))) continue;
    if (match !== undefined) {
      const message =
        'Cannot update more than one record per upsert object: several records match "fieldsToMergeOn".';
      throw new ApiError(422, 'INVALID_REQUEST_UNKNOWN', message);
    }
    match = record.id;
  }
  return match;
}

/** Lists of choices are equal in any order. */
function sameValue(a: unknown, b: unknown): boolean {
  if (Array.isArray(a) && Array.isArray(b)) return sameJson(a.toSorted(), b.toSorted());
  return sameJson(a, b);
}
