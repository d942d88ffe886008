import { isObject } from '../../calendly/cell-values.ts';
import { choiceNamesIn } from '../choice-names.ts';
import type { FieldSchema } from '../../bases/table-schema.ts';
import type { FilterOperator } from './filter.ts';

/** What the cells of a field can be asked. */
export type FilterKind =
  | 'text'
  | 'number'
  | 'day'
  | 'instant'
  | 'computedDay'
  | 'checkbox'
  | 'choice'
  | 'choices'
  | 'links'
  | 'person'
  | 'people'
  | 'attachments'
  | 'lookup'
  | 'unknown';

const kindsByType = new Map<string, FilterKind>(
  Object.entries({
    text: ['singleLineText', 'multilineText', 'richText', 'email', 'url', 'phoneNumber'],
    number: ['number', 'percent', 'currency', 'rating', 'duration', 'autoNumber', 'count'],
    day: ['date'],
    instant: ['dateTime', 'createdTime', 'lastModifiedTime'],
    checkbox: ['checkbox'],
    choice: ['singleSelect', 'externalSyncSource'],
    choices: ['multipleSelects'],
    links: ['multipleRecordLinks'],
    person: ['singleCollaborator', 'createdBy', 'lastModifiedBy'],
    people: ['multipleCollaborators'],
    attachments: ['multipleAttachments'],
  } satisfies Partial<Record<FilterKind, string[]>>).flatMap(([kind, types]) =>
    types.map((type): [string, FilterKind] => [type, kind as FilterKind]),
  ),
);

/** Results of formulas and rollups that are compared like fields of their own. */
const comparableResults = new Set<FilterKind>([
  'text',
  'number',
  'instant',
  'computedDay',
  'checkbox',
  'choice',
]);

export function filterKindOf(field: FieldSchema): FilterKind {
  const ofResult = kindOfResult(field);
  switch (field.type) {
    case 'formula':
    case 'rollup':
      return ofResult !== undefined && comparableResults.has(ofResult) ? ofResult : 'unknown';
    case 'multipleLookupValues':
      return (ofResult === 'choice' || ofResult === 'choices') && choiceNames(field) ? 'choices' : 'lookup';
    case 'createdTime':
    case 'lastModifiedTime':
      return ofResult === 'computedDay' ? 'computedDay' : 'instant';
    default:
      return kindsByType.get(field.type) ?? 'unknown';
  }
}

/** What is computed from instants and shown as a day is one in some time zone, and in none when computed from days. */
function kindOfResult(field: FieldSchema): FilterKind | undefined {
  const kind = kindsByType.get(resultOf(field)?.type ?? '');
  return kind === 'day' ? 'computedDay' : kind;
}

/** Whether a cell of the field may hold an error, which would make an error of any formula that meets it. */
export function mayFail(field: FieldSchema): boolean {
  return field.type === 'formula' || field.type === 'rollup' || field.type === 'multipleLookupValues';
}

/** Names of the choices of a select, or of what a computed field gives of one; null where the upstream tells none. */
export function choiceNames(field: FieldSchema): string[] | null {
  return choiceNamesIn(resultOf(field)?.options ?? field.options);
}

/** The field of the linked table that leads back; null where there is none. */
export function inverseFieldId(field: FieldSchema): string | null {
  const id = field.options?.inverseLinkFieldId;
  return typeof id === 'string' ? id : null;
}

function resultOf(field: FieldSchema): { type: string; options: unknown } | null {
  const result = field.options?.result;
  if (!isObject(result) || typeof result.type !== 'string') return null;
  return { type: result.type, options: result.options };
}

const texts: readonly FilterOperator[] = ['eq', 'ne', 'in', 'notIn', 'contains', 'startsWith', 'isEmpty'];
const numbers: readonly FilterOperator[] = ['eq', 'ne', 'gt', 'gte', 'lt', 'lte', 'in', 'notIn', 'isEmpty'];
const dates: readonly FilterOperator[] = [...numbers, 'before', 'after'];

/** The operators that fit each kind. */
export const operatorsOf: Readonly<Record<FilterKind, readonly FilterOperator[]>> = {
  text: texts,
  number: numbers,
  day: dates,
  instant: dates,
  computedDay: ['isEmpty'],
  checkbox: ['eq', 'ne'],
  choice: ['eq', 'ne', 'in', 'notIn', 'isEmpty'],
  choices: ['hasAny', 'hasAll', 'hasNone', 'isEmpty'],
  links: ['hasRecord', 'hasAnyRecord'],
  person: texts,
  people: ['isEmpty'],
  attachments: ['isEmpty'],
  lookup: [],
  unknown: [],
};

/**
 * Why a question that the kind might be asked has no exact answer, and what to do instead. Links, for instance: a formula
 * sees the names of the linked records, which repeat and may be empty.
 */
export const inexact: Readonly<
  Partial<Record<FilterKind, { operators: readonly FilterOperator[] | 'all'; why: string }>>
> = {
  links: {
    operators: [
      'eq',
      'ne',
      'in',
      'notIn',
      'contains',
      'startsWith',
      'isEmpty',
      'hasAny',
      'hasAll',
      'hasNone',
    ],
    why: 'a formula sees the names of linked records, which repeat and may be empty. Use "hasRecord" with the id of a linked record; to find records without links, add a count field to the table and filter by that',
  },
  people: {
    operators: ['eq', 'ne', 'in', 'notIn', 'contains', 'startsWith', 'hasAny', 'hasAll', 'hasNone'],
    why: 'a formula sees the names of all people joined by commas, and names may have commas. Use "isEmpty", or filter what you have read',
  },
  attachments: {
    operators: ['eq', 'ne', 'in', 'notIn', 'contains', 'startsWith', 'hasAny', 'hasAll', 'hasNone'],
    why: 'it is not documented whether a formula sees the addresses of files beside their names. Use "isEmpty", or filter what you have read',
  },
  computedDay: {
    operators: ['eq', 'ne', 'gt', 'gte', 'lt', 'lte', 'in', 'notIn', 'before', 'after'],
    why: 'it is not documented in which time zone a computed time that is shown as a day is one. Let the field show the time as well, filter by the field that it is computed from, or add a formula field that gives the day as a text and filter by that',
  },
  lookup: {
    operators: 'all',
    why: 'a formula sees the looked-up values joined by commas, and values may have commas or be errors. Filter the linked table and follow its links, or add a rollup or formula field and filter by that',
  },
  unknown: {
    operators: 'all',
    why: 'it is not documented what a formula sees of such a field. Add a formula field that shows what you need and filter by that, or filter what you have read',
  },
};
