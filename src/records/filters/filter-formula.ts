import {
  allOf,
  anyOf,
  call,
  infix,
  negated,
  never,
  number,
  oneOfRecords,
  text,
  type Expression,
} from '../../calendly/formula-expression.ts';
import type { FieldSchema } from '../../bases/table-schema.ts';
import { filterKindOf, mayFail } from './filter-kind.ts';
import type { CellTest, RecordTest } from './record-test.ts';

/** The records of the present table that are linked, through a field, to one of the given ones. */
export type LinkedIds = (field: FieldSchema, recordIds: readonly string[]) => readonly string[];

/**
 * The formula that is true for exactly the records that pass the test, under both readings of each rule that the
 * upstream's documentation leaves open:
 *
 * - An empty number or date may equal 0 and be ordered like it, or not; so it is looked at as text first, which is empty
 *   for nothing but an empty cell.
 * - A number and a text that spells it may be equal, or not; so only like is compared with like.
 * - An error anywhere makes an error of the whole, `NOT` included; so a cell that may hold one is asked for it first.
 *   `IF` alone is known not to compute what it does not need: `AND` is not.
 */
export function testFormula(test: RecordTest, linkedIds: LinkedIds): Expression {
  switch (test.kind) {
    case 'all':
      return allOf(test.parts.map((part) => testFormula(part, linkedIds)));
    case 'any':
      return anyOf(test.parts.map((part) => testFormula(part, linkedIds)));
    case 'not':
      return negated(testFormula(test.part, linkedIds));
    case 'linked':
      return oneOfRecords(linkedIds(test.field, test.recordIds));
    default:
      return unlessFailed(test.field, cellFormula(test));
  }
}

function cellFormula(test: Exclude<CellTest, { kind: 'linked' }>): Expression {
  const { field } = test;
  switch (test.kind) {
    case 'empty':
      return isEmpty(field);
    case 'checked':
      return infix(cell(field), '=', call('TRUE'));
    case 'text':
      return textFormula(test);
    case 'number':
      return unlessEmpty(field, infix(cell(field), test.operator, number(test.number)));
    case 'within':
      return unlessEmpty(field, withinFormula(field, test.from, test.to));
    case 'choice':
      return found(infix(infix(text(', '), '&', cell(field)), '&', text(', ')), text(`, ${test.name}, `));
  }
}

function textFormula({
  field,
  match,
  text: wanted,
  ignoreCase,
}: Extract<CellTest, { kind: 'text' }>): Expression {
  const [have, want] = ignoreCase
    ? [call('LOWER', textOf(field)), call('LOWER', text(wanted))]
    : [textOf(field), text(wanted)];
  if (match === 'is') return infix(have, '=', want);
  return match === 'contains' ? found(have, want) : infix(call('FIND', want, have), '=', number(1));
}

function withinFormula(field: FieldSchema, from: number | null, to: number | null): Expression {
  if (from !== null && to === from + 1) return infix(cell(field), '=', instant(from));
  return allOf([
    ...(from === null ? [] : [negated(call('IS_BEFORE', cell(field), instant(from)))]),
    ...(to === null ? [] : [call('IS_BEFORE', cell(field), instant(to))]),
  ]);
}

function cell(field: FieldSchema): Expression {
  return { kind: 'field', fieldId: field.id };
}

/** Fields whose cells are texts are taken as they are; anything else is made one. */
function textOf(field: FieldSchema): Expression {
  const kind = filterKindOf(field);
  return !mayFail(field) && (kind === 'text' || kind === 'choice') ? cell(field) : asText(field);
}

function asText(field: FieldSchema): Expression {
  return infix(cell(field), '&', text(''));
}

function isEmpty(field: FieldSchema): Expression {
  return infix(textOf(field), '=', text(''));
}

function found(haystack: Expression, needle: Expression): Expression {
  return infix(call('FIND', needle, haystack), '>', number(0));
}

function instant(at: number): Expression {
  return call('DATETIME_PARSE', text(new Date(at).toISOString()));
}

function unlessEmpty(field: FieldSchema, test: Expression): Expression {
  return call('IF', isEmpty(field), never, test);
}

function unlessFailed(field: FieldSchema, test: Expression): Expression {
  return mayFail(field) ? call('IF', call('ISERROR', cell(field)), never, test) : test;
}
