import { numberSpelled, toText, unwrapped } from './conversion.ts';
import { parseDate } from './date-parse.ts';
import type { FormulaReadings } from './readings.ts';
import type { FormulaValue } from './value.ts';

/**
 * `=`: text by characters, instants to the millisecond. Blank equals empty text in any case, and 0 under `blankEqualsZero`.
 */
export function equals(left: FormulaValue, right: FormulaValue, readings: FormulaReadings): boolean {
  if (typeof left === 'string' && typeof right === 'string') return left === right;
  const a = comparable(left);
  const b = comparable(right);
  if (isBlank(a) || isBlank(b)) {
    if (isBlank(a) && isBlank(b)) return true;
    return readings.blankEqualsZero && (a === null || b === null) && (a === 0 || b === 0);
  }
  return compare(a, b, readings) === 0;
}

/** Negative, 0 or positive; undefined where there is no order (a text that is no number against a number, say). */
export function compare(
  left: FormulaValue,
  right: FormulaValue,
  readings: FormulaReadings,
): number | undefined {
  const a = comparable(left);
  const b = comparable(right);
  if (a === null || b === null) return compareBlank(a, b, readings);
  if (typeof a === 'string' && typeof b === 'string') return a === b ? 0 : a < b ? -1 : 1;
  if (a instanceof Date || b instanceof Date) return difference(instantOf(a), instantOf(b));
  return difference(numberOf(a, readings), numberOf(b, readings));
}

type Comparable = null | string | number | Date;

function comparable(value: FormulaValue): Comparable {
  const single = unwrapped(value);
  return Array.isArray(single) || (typeof single === 'object' && !(single instanceof Date) && single !== null)
    ? toText(single)
    : single;
}

/** As an unset due date counts as overdue, blank stands where 0 does; against text it is the empty text. */
function compareBlank(a: Comparable, b: Comparable, readings: FormulaReadings): number | undefined {
  if (a === null && b === null) return 0;
  if (typeof a === 'string' || typeof b === 'string')
    return a === b || a === '' || b === '' ? 0 : a === null ? -1 : 1;
  if (!readings.blankEqualsZero) return undefined;
  return difference(Number(a ?? 0), Number(b ?? 0));
}

function isBlank(value: Comparable): boolean {
  return value === null || value === '';
}

function instantOf(value: string | number | Date): number | undefined {
  if (typeof value === 'string') return parseDate(value)?.getTime();
  return value instanceof Date ? value.getTime() : undefined;
}

function numberOf(value: string | number | Date, readings: FormulaReadings): number | undefined {
  if (typeof value === 'number') return value;
  return typeof value === 'string' && readings.numericTextEqualsNumber ? numberSpelled(value) : undefined;
}

function difference(a: number | undefined, b: number | undefined): number | undefined {
  if (a === undefined || b === undefined || Number.isNaN(a) || Number.isNaN(b)) return undefined;
  return a === b ? 0 : a < b ? -1 : 1;
}
