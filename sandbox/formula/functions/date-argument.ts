import { toDate } from '../conversion.ts';
import type { FormulaValue } from '../value.ts';

/** Runs `apply` on the date an argument gives; what is no date comes back as the failure it is. */
export function withDate(value: FormulaValue | undefined, apply: (date: Date) => FormulaValue): FormulaValue {
  const date = toDate(value ?? null);
  return date instanceof Date ? apply(date) : date;
}
