import { AppError } from '../../errors.ts';

/** Levels of groups within each other, the condition at the bottom included. */
export const maxFilterDepth = 8;
/** Conditions of one filter; each operator counts, and so does an empty group. */
export const maxFilterConditions = 100;
/** Values of one `in`, `hasAny` and the like. */
export const maxFilterValues = 100;
/** Values in all lists of one filter; a hundred ids of records cost a call, and a formula holds few thousand values. */
export const maxListedFilterValues = 1_000;
/** Longest text that is compared, in characters. */
export const maxFilterTextLength = 1_000;

/** A text, a number or a boolean. */
export type FilterValue = string | number | boolean;

/** Each operator of a condition, with what it is compared with. */
export interface FilterOperators {
  eq?: FilterValue | null;
  ne?: FilterValue | null;
  gt?: FilterValue | null;
  gte?: FilterValue | null;
  lt?: FilterValue | null;
  lte?: FilterValue | null;
  before?: string | null;
  after?: string | null;
  in?: readonly FilterValue[] | null;
  notIn?: readonly FilterValue[] | null;
  contains?: string | null;
  startsWith?: string | null;
  isEmpty?: boolean | null;
  hasAny?: readonly string[] | null;
  hasAll?: readonly string[] | null;
  hasNone?: readonly string[] | null;
  hasRecord?: string | null;
  hasAnyRecord?: readonly string[] | null;
}

export type FilterOperator = keyof FilterOperators;

export const filterOperators = [
  'eq',
  'ne',
  'gt',
  'gte',
  'lt',
  'lte',
  'before',
  'after',
  'in',
  'notIn',
  'contains',
  'startsWith',
  'isEmpty',
  'hasAny',
  'hasAll',
  'hasNone',
  'hasRecord',
  'hasAnyRecord',
] as const satisfies readonly FilterOperator[];

/** A filter as callers write it: a group, or conditions on one field that all have to hold. */
export interface RecordFilter extends FilterOperators {
  and?: readonly RecordFilter[] | null;
  or?: readonly RecordFilter[] | null;
  not?: RecordFilter | null;
  field?: string | null;
  ignoreCase?: boolean | null;
  timeZone?: string | null;
}

/** A condition whose form is right; whether it fits the field is another question. */
export interface FilterCondition {
  kind: 'condition';
  field: string;
  operator: FilterOperator;
  value: NonNullable<FilterOperators[FilterOperator]>;
  ignoreCase: boolean;
  timeZone: string | null;
  /** Where it stands, such as `filter.and[1]`. */
  place: string;
}

/** A filter whose form is right. */
export type FilterTree =
  FilterCondition | { kind: 'all' | 'any'; parts: readonly FilterTree[] } | { kind: 'not'; part: FilterTree };

/**
 * Reads the form of a filter, before anything is known of the table.
 * @throws AppError INVALID_INPUT or TOO_MANY, naming the place
 */
export function readFilter(filter: RecordFilter): FilterTree {
  return new FilterReader().read(filter, 'filter', 1);
}

class FilterReader {
  #conditions = 0;
  #listedValues = 0;

  read(filter: RecordFilter, place: string, depth: number): FilterTree {
    if (depth > maxFilterDepth) {
      throw new AppError('TOO_MANY', `"filter" may have at most ${maxFilterDepth} levels.`, {
        details: { argument: 'filter', max: maxFilterDepth },
      });
    }
    const { and, or, not, field } = filter;
    const kinds = [and, or, not, field].filter((part) => part != null).length;
    if (kinds !== 1) {
      throw badFilter(
        place,
        `has to have exactly one of "and", "or", "not" and "field", not ${kinds === 0 ? 'none' : kinds}.`,
      );
    }
    if (field != null) return this.#conditionsOn(field, filter, place);
    const beside = [...filterOperators, 'ignoreCase' as const, 'timeZone' as const].find(
      (name) => filter[name] !== undefined && filter[name] !== null,
    );
    if (beside) throw badFilter(place, `is a group; put "${beside}" beside a "field".`);
    if (not != null) return { kind: 'not', part: this.read(not, `${place}.not`, depth + 1) };
    const [kind, name, parts] = and != null ? (['all', 'and', and] as const) : (['any', 'or', or!] as const);
    if (parts.length === 0) this.#count();
    return {
      kind,
      parts: parts.map((part, index) => this.read(part, `${place}.${name}[${index}]`, depth + 1)),
    };
  }

  #conditionsOn(field: string, filter: RecordFilter, place: string): FilterTree {
    const conditions = filterOperators.flatMap((operator): FilterCondition[] => {
      const value = filter[operator];
      if (value === undefined) return [];
      if (value === null)
        throw badFilter(
          place,
          `has null as "${operator}". Leave it out, or ask for empty cells with "isEmpty".`,
        );
      this.#count();
      requireBounds(value, operator, place);
      if (typeof value === 'object') this.#countListed(value.length);
      return [
        {
          kind: 'condition',
          field,
          operator,
          value,
          ignoreCase: filter.ignoreCase ?? false,
          timeZone: filter.timeZone ?? null,
          place,
        },
      ];
    });
    if (conditions.length === 0) throw badFilter(place, 'has a "field", but no operator, such as "eq".');
    return conditions.length === 1 ? conditions[0]! : { kind: 'all', parts: conditions };
  }

  #countListed(values: number): void {
    this.#listedValues += values;
    if (this.#listedValues > maxListedFilterValues) {
      throw new AppError(
        'TOO_MANY',
        `The lists of "filter" may have at most ${maxListedFilterValues} values together.`,
        { details: { argument: 'filter', max: maxListedFilterValues } },
      );
    }
  }

  #count(): void {
    this.#conditions += 1;
    if (this.#conditions > maxFilterConditions) {
      throw new AppError('TOO_MANY', `"filter" may have at most ${maxFilterConditions} conditions.`, {
        details: { argument: 'filter', max: maxFilterConditions },
      });
    }
  }
}

function requireBounds(value: FilterCondition['value'], operator: string, place: string): void {
  if (typeof value === 'object' && value.length > maxFilterValues) {
    throw new AppError(
      'TOO_MANY',
      `"${operator}" of "${place}" may list at most ${maxFilterValues} values, not ${value.length}.`,
      { details: { argument: 'filter', place, max: maxFilterValues, given: value.length } },
    );
  }
  for (const item of typeof value === 'object' ? value : [value]) {
    if (typeof item === 'string' && item.length > maxFilterTextLength)
      throw badFilter(place, `has a text of more than ${maxFilterTextLength} characters as "${operator}".`);
  }
}

/** A filter that cannot be meant as it stands. @param what begins with a verb */
export function badFilter(place: string, what: string): AppError {
  return new AppError('INVALID_INPUT', `"${place}" ${what}`, { details: { argument: 'filter', place } });
}
