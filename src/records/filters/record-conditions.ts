import type { TableSchema } from '../../bases/table-schema.ts';
import { requireBalanced } from '../../calendly/balanced-formula.ts';
import { stringLiteral } from '../../calendly/formula.ts';
import { allOf, printFormula, type Expression } from '../../calendly/formula-expression.ts';
import { AppError } from '../../errors.ts';
import { checkFilter } from './filter-check.ts';
import { readFilter, type FilterTree, type RecordFilter } from './filter.ts';
import { testFormula, type LinkedIds } from './filter-formula.ts';
import { textsOf, type RecordTest } from './record-test.ts';
import { searchTest, searchText } from './text-search.ts';

/** Longest formula that a caller may write, in characters. */
export const maxFormulaLength = 20_000;
/** Longest formula that we send, in characters. The upstream publishes no limit for the POST form that long ones take. */
export const maxSentFormulaLength = 60_000;

/** What a listing is narrowed by, as far as it can be judged without the table. */
export interface RecordConditions {
  filter: FilterTree | null;
  search: string | null;
  formula: string | null;
}

/** @throws AppError INVALID_INPUT or TOO_MANY naming the argument */
export function readConditions(args: {
  filter?: RecordFilter | null;
  search?: string | null;
  formula?: string | null;
}): RecordConditions {
  const formula = args.formula || null;
  if (formula !== null && formula.length > maxFormulaLength) {
    throw new AppError('INVALID_INPUT', `"formula" may have at most ${maxFormulaLength} characters.`, {
      details: { argument: 'formula', max: maxFormulaLength },
    });
  }
  return { filter: args.filter ? readFilter(args.filter) : null, search: searchText(args.search), formula };
}

/**
 * The filter and the search as tests of this table.
 * @throws AppError of what does not fit the table
 */
export function testsFor({ filter, search }: RecordConditions, table: TableSchema): RecordTest[] {
  return [
    ...(filter === null ? [] : [checkFilter(filter, table)]),
    ...(search === null ? [] : [searchTest(search, table)]),
  ];
}

/**
 * Refuses texts that no formula can carry, wherever they stand: whether a part of a filter gets into the formula at all
 * can depend on what is linked, and on who answers.
 * @throws AppError FILTER_NOT_EXACT
 */
export function requireTellable(tests: readonly RecordTest[]): void {
  for (const text of tests.flatMap(textsOf)) stringLiteral(text);
}

/** Whether a table that may have changed since it was read has all that the conditions name. */
export function fitsTable(conditions: RecordConditions, table: TableSchema): boolean {
  try {
    testsFor(conditions, table);
    return true;
  } catch (error) {
    if (error instanceof AppError) return false;
    throw error;
  }
}

/**
 * One formula for all that a listing is narrowed by, joined with AND; null when every record passes. `none` means that no
 * record can pass, whatever it holds.
 * @throws AppError TOO_MANY when it grows too long, FORMULA_INVALID when `formula` can't stand beside other conditions
 */
export function conditionsFormula(
  tests: readonly RecordTest[],
  formula: string | null,
  linkedIds: LinkedIds,
): { formula: string | null } | 'none' {
  const tested = allOf(tests.map((test) => testFormula(test, linkedIds)));
  if (tested.kind === 'constant') return tested.value ? { formula } : 'none';
  if (formula !== null) requireBalanced(formula);
  const written: Expression[] = formula === null ? [] : [{ kind: 'written', formula }];
  const printed = printFormula(allOf([tested, ...written]));
  if (printed.length <= maxSentFormulaLength) return { formula: printed };
  throw new AppError(
    'TOO_MANY',
    `"filter", "search" and "formula" together make a formula of ${printed.length} characters, and ${maxSentFormulaLength} are the most. Compare with fewer or shorter values.`,
    { details: { argument: 'filter', max: maxSentFormulaLength, given: printed.length } },
  );
}
