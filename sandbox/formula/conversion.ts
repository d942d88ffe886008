import { FormulaFailure, type FormulaValue } from './value.ts';
import { parseDate } from './date-parse.ts';

/** Characters in any text a formula builds. */
export const MAX_TEXT_LENGTH = 100_000;

const ARRAY_SEPARATOR = ', ';

/** Blank is empty text, an instant its ISO form, an array its items joined with `, `. */
export function toText(value: FormulaValue): string {
  if (typeof value === 'string') return value;
  if (value === null || value instanceof FormulaFailure) return '';
  if (typeof value === 'number') return String(value);
  if (value instanceof Date) return value.toISOString();
  return value.map(toText).join(ARRAY_SEPARATOR);
}

/** Blank is 0; text that spells no number, an instant and an array of several are failures. */
export function toNumber(value: FormulaValue): number | FormulaFailure {
  const single = unwrapped(value);
  if (typeof single === 'number') return single;
  if (single === null) return 0;
  if (single instanceof FormulaFailure) return single;
  const number = typeof single === 'string' ? numberSpelled(single) : undefined;
  return number ?? new FormulaFailure('not a number');
}

/** The number a text spells, surrounding blanks aside; undefined if it spells none. */
export function numberSpelled(text: string): number | undefined {
  return /^\s*[-+]?(?:\d+(?:\.\d*)?|\.\d+)\s*$/.test(text) ? Number(text) : undefined;
}

/** Text is parsed as by DATETIME_PARSE without a format; blank and numbers are failures. */
export function toDate(value: FormulaValue): Date | FormulaFailure {
  const single = unwrapped(value);
  if (single instanceof Date || single instanceof FormulaFailure) return single;
  return (typeof single === 'string' ? parseDate(single) : undefined) ?? new FormulaFailure('not a date');
}

/** An array of one stands for its item, as a lookup through a single link does; an empty one is blank. */
export function unwrapped(value: FormulaValue): FormulaValue {
  let single = value;
  while (Array.isArray(single) && single.length <= 1) single = single[0] ?? null;
  return single;
}

/** The items of nested arrays in order; a single value is an array of one. */
export function flattened(values: readonly FormulaValue[]): FormulaValue[] {
  const flat: FormulaValue[] = [];
  for (const value of values) {
    if (Array.isArray(value)) flat.push(...flattened(value));
    else flat.push(value);
  }
  return flat;
}

export function boundedText(text: string): FormulaValue {
  return text.length > MAX_TEXT_LENGTH ? new FormulaFailure('text too long') : text;
}

/** An instant outside what a date can hold is a failure. */
export function validDate(date: Date): FormulaValue {
  return Number.isNaN(date.getTime()) ? new FormulaFailure('date out of range') : date;
}
