import type { Formula } from './formula.ts';

/**
 * The ids a formula asks for if it is nothing but `RECORD_ID()='rec…'`, or an `OR` of those; null for any other formula.
 * Lets a lister look the records up instead of trying the formula on a whole table.
 */
export function recordIdsOf(_formula: Formula): string[] | null {
  return null;
}
