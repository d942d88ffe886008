import { filterKindOf } from '../filters/filter-kind.ts';
import type { CellTest, RecordTest } from '../filters/record-test.ts';
import { isCreationTime } from './field-shapes.ts';
import { foldingCollation } from './lower-case.ts';
import { cellOf, textOf, type StatementValues } from './statement.ts';

/**
 * A condition that holds for exactly the records that pass the test, as `passesTest` and the formula of the same test
 * have it: true or false of any record, never unknown, so that it can be turned round. All its fields must be copied.
 */
export function testCondition(test: RecordTest, values: StatementValues): string {
  switch (test.kind) {
    case 'all':
      return joined(test.parts, ' AND ', 'true', values);
    case 'any':
      return joined(test.parts, ' OR ', 'false', values);
    case 'not':
      return `NOT ${testCondition(test.part, values)}`;
    default:
      return `(${cellCondition(test, values)})`;
  }
}

function joined(parts: readonly RecordTest[], word: string, none: string, values: StatementValues): string {
  if (parts.length === 0) return none;
  return `(${parts.map((part) => testCondition(part, values)).join(word)})`;
}

/** Comparisons with an empty cell are NULL, which no condition may be. */
function cellCondition(test: CellTest, values: StatementValues): string {
  const { field } = test;
  const cell = cellOf(field.id);
  switch (test.kind) {
    case 'empty':
      if (isCreationTime(field)) return 'false';
      return `${cell} IS NULL OR ${cell} IN ('null'::jsonb, '""'::jsonb, 'false'::jsonb, '[]'::jsonb)`;
    case 'checked':
      return `coalesce(${cell} = 'true'::jsonb, false)`;
    case 'text':
      return textCondition(test, values);
    case 'number':
      // As jsonb, numbers are compared digit by digit, and each number has one spelling: no rounding comes in between.
      return `coalesce(jsonb_typeof(${cell}) = 'number' AND ${cell} ${test.operator} ${values.add(JSON.stringify(test.number), 'jsonb')}, false)`;
    case 'within':
      return withinCondition(test, values);
    case 'choice':
      return `coalesce(jsonb_exists(${cell}, ${values.add(test.name, 'text')}), false)`;
    case 'linked':
      return `coalesce(jsonb_exists_any(${cell}, ${values.add(test.recordIds, 'text[]')}), false)`;
  }
}

function textCondition(
  { field, match, text, ignoreCase }: Extract<CellTest, { kind: 'text' }>,
  values: StatementValues,
): string {
  const cell = `coalesce(${textOf(field.id)}, '')`;
  const have = ignoreCase ? `lower(${cell} COLLATE ${foldingCollation}) COLLATE "C"` : `${cell} COLLATE "C"`;
  const want = values.add(ignoreCase ? text.toLowerCase() : text, 'text');
  switch (match) {
    case 'is':
      return `${have} = ${want}`;
    case 'contains':
      return `strpos(${have}, ${want}) > 0`;
    case 'starts':
      return `starts_with(${have}, ${want})`;
  }
}

/** Dates and times come in one spelling each, in which the order of the texts is that of the times. */
function withinCondition(
  { field, from, to }: Extract<CellTest, { kind: 'within' }>,
  values: StatementValues,
): string {
  const isInstant = isCreationTime(field);
  const have = isInstant ? 'record.created_time' : `${textOf(field.id)} COLLATE "C"`;
  const bound = (at: number) => {
    const iso = new Date(at).toISOString();
    if (isInstant) return values.add(iso, 'timestamptz');
    return values.add(filterKindOf(field) === 'day' ? iso.slice(0, 10) : iso, 'text');
  };
  const bounds = [
    `${have} IS NOT NULL`,
    ...(from === null ? [] : [`${have} >= ${bound(from)}`]),
    ...(to === null ? [] : [`${have} < ${bound(to)}`]),
  ];
  return `coalesce(${bounds.join(' AND ')}, false)`;
}
