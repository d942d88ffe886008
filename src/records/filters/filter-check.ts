import type { FieldSchema, TableSchema } from '../../bases/table-schema.ts';
import { requireId } from '../../calendly/ids.ts';
import { AppError } from '../../errors.ts';
import {
  badFilter,
  type FilterCondition,
  type FilterOperator,
  type FilterTree,
  type FilterValue,
} from './filter.ts';
import { filterKindOf, inexact, inverseFieldId, operatorsOf, type FilterKind } from './filter-kind.ts';
import { booleanValue, choiceValue, intervalOf, nameValue, numberValue, textValue } from './filter-values.ts';
import type { RecordTest } from './record-test.ts';

/**
 * Holds a filter against the live table, so that nothing wrong with it is left for the upstream to find.
 * @throws AppError FIELD_NOT_FOUND, FIELD_TYPE_MISMATCH, FILTER_NOT_EXACT or INVALID_INPUT, naming the place and what to
 *   write instead
 */
export function checkFilter(filter: FilterTree, table: TableSchema): RecordTest {
  switch (filter.kind) {
    case 'all':
    case 'any':
      return { kind: filter.kind, parts: filter.parts.map((part) => checkFilter(part, table)) };
    case 'not':
      return { kind: 'not', part: checkFilter(filter.part, table) };
    case 'condition':
      return checkCondition(filter, table.getField(filter.field));
  }
}

function checkCondition(condition: FilterCondition, field: FieldSchema): RecordTest {
  const kind = filterKindOf(field);
  requireFit(condition, field, kind);
  const { operator, value } = condition;
  switch (operator) {
    case 'isEmpty':
      return booleanValue(condition) ? { kind: 'empty', field } : not({ kind: 'empty', field });
    case 'eq':
    case 'ne': {
      const test = isValue(condition, field, kind, value as FilterValue);
      return operator === 'eq' ? test : not(test);
    }
    case 'in':
    case 'notIn': {
      const test = any(
        (value as readonly FilterValue[]).map((item) => isValue(condition, field, kind, item)),
      );
      return operator === 'in' ? test : not(test);
    }
    case 'gt':
    case 'gte':
    case 'lt':
    case 'lte':
    case 'before':
    case 'after':
      return ordered(condition, field, kind, operator);
    case 'contains':
    case 'startsWith': {
      const match = operator === 'contains' ? 'contains' : 'starts';
      const text = textPart(condition, field, kind);
      return { kind: 'text', field, match, text, ignoreCase: condition.ignoreCase };
    }
    case 'hasAny':
    case 'hasAll':
    case 'hasNone': {
      const tests = (value as readonly string[]).map((name): RecordTest => {
        return { kind: 'choice', field, name: choiceValue(condition, field, name, { joined: true }) };
      });
      if (operator === 'hasAll') return { kind: 'all', parts: tests };
      return operator === 'hasAny' ? any(tests) : not(any(tests));
    }
    case 'hasRecord':
    case 'hasAnyRecord': {
      requireInverse(condition, field);
      const ids = operator === 'hasRecord' ? [value as string] : (value as readonly string[]);
      return { kind: 'linked', field, recordIds: ids.map((id) => requireId('rec', id, 'filter')) };
    }
  }
}

/** @throws AppError when the operator, or what stands beside it, is not for fields of this kind */
function requireFit(condition: FilterCondition, field: FieldSchema, kind: FilterKind): void {
  const { operator, place } = condition;
  const fitting = operatorsOf[kind];
  const called = `the field ${JSON.stringify(field.name)} of type ${field.type}`;
  const details = { argument: 'filter', place, field: field.name, type: field.type };
  const refused = inexact[kind];
  if (refused && (refused.operators === 'all' || refused.operators.includes(operator))) {
    throw new AppError(
      'FILTER_NOT_EXACT',
      `"${operator}" of "${place}" has no exact answer for ${called}: ${refused.why}.`,
      { details },
    );
  }
  if (!fitting.includes(operator)) {
    throw new AppError(
      'FIELD_TYPE_MISMATCH',
      `"${operator}" of "${place}" does not fit ${called}. What fits: ${fitting.join(', ')}.`,
      { details: { ...details, operators: fitting } },
    );
  }
  if (condition.ignoreCase && !(isTextual(kind) && operatorsWithCase.includes(operator)))
    throw badFilter(
      place,
      `has "ignoreCase", which does nothing for "${operator}" on ${called}. Leave it out.`,
    );
  if (condition.timeZone !== null && kind !== 'instant')
    throw badFilter(place, `has a "timeZone", which does nothing on ${called}. Leave it out.`);
}

/** Which records link to another is told by that other one, in the field that leads back. */
function requireInverse({ operator, place }: FilterCondition, field: FieldSchema): void {
  if (inverseFieldId(field) !== null) return;
  throw new AppError(
    'FILTER_NOT_EXACT',
    `"${operator}" of "${place}" has no exact answer for the field ${JSON.stringify(field.name)}: no field of the linked table leads back. Add one in the service, or filter what you have read.`,
    { details: { argument: 'filter', place, field: field.name } },
  );
}

const operatorsWithCase: readonly FilterOperator[] = ['eq', 'ne', 'in', 'notIn', 'contains', 'startsWith'];

function isTextual(kind: FilterKind): boolean {
  return kind === 'text' || kind === 'person';
}

function isValue(
  condition: FilterCondition,
  field: FieldSchema,
  kind: FilterKind,
  value: FilterValue,
): RecordTest {
  const { ignoreCase } = condition;
  switch (kind) {
    case 'number':
      return { kind: 'number', field, operator: '=', number: numberValue(condition, field, value) };
    case 'day':
    case 'instant':
      return { kind: 'within', field, ...intervalOf(condition, field, kind, value) };
    case 'checkbox':
      return booleanValue(condition) ? { kind: 'checked', field } : not({ kind: 'checked', field });
    case 'choice': {
      const text = choiceValue(condition, field, value, { joined: false });
      return { kind: 'text', field, match: 'is', text, ignoreCase };
    }
    case 'person':
      return { kind: 'text', field, match: 'is', text: nameValue(condition, field, value), ignoreCase };
    default:
      return { kind: 'text', field, match: 'is', text: textValue(condition, field, value), ignoreCase };
  }
}

function ordered(
  condition: FilterCondition,
  field: FieldSchema,
  kind: FilterKind,
  operator: 'gt' | 'gte' | 'lt' | 'lte' | 'before' | 'after',
): RecordTest {
  const value = condition.value as FilterValue;
  if (kind === 'number') {
    const symbols = { gt: '>', gte: '>=', lt: '<', lte: '<=', before: '<', after: '>' } as const;
    return {
      kind: 'number',
      field,
      operator: symbols[operator],
      number: numberValue(condition, field, value),
    };
  }
  const { from, to } = intervalOf(condition, field, kind === 'day' ? 'day' : 'instant', value);
  const within = (start: number | null, end: number | null): RecordTest => {
    return { kind: 'within', field, from: start, to: end };
  };
  if (operator === 'lt' || operator === 'before') return within(null, from);
  if (operator === 'lte') return within(null, to);
  return operator === 'gte' ? within(from, null) : within(to, null);
}

function textPart(condition: FilterCondition, field: FieldSchema, kind: FilterKind): string {
  const { operator, place, value } = condition;
  const text = kind === 'person' ? nameValue(condition, field, value as string) : (value as string);
  if (text === '') throw badFilter(place, `has an empty "${operator}", which any text has. Leave it out.`);
  return text;
}

function not(part: RecordTest): RecordTest {
  return { kind: 'not', part };
}

function any(parts: readonly RecordTest[]): RecordTest {
  return { kind: 'any', parts };
}
