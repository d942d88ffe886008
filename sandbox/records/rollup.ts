import type { Aggregation } from '../bases/documents.ts';

/** A number that JSON cannot hold, as the upstream wraps it. */
export function numberCell(value: number): unknown {
  return Number.isFinite(value) ? value : { specialValue: String(value) };
}

/** What a cell value looks like as text where values are joined. */
export function plainText(value: unknown): string {
  if (value === undefined || value === null) return '';
  if (Array.isArray(value)) return value.map(plainText).join(', ');
  if (typeof value === 'string') return value;
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  if (typeof value !== 'object') return '';
  const named = value as {
    name?: unknown;
    email?: unknown;
    text?: unknown;
    filename?: unknown;
    error?: unknown;
  };
  const text = named.name ?? named.email ?? named.text ?? named.filename ?? named.error;
  return typeof text === 'string' ? text : '';
}

/** The values of all linked records' cells as one; undefined is an empty cell. */
export function aggregate(aggregation: Aggregation, values: readonly unknown[]): unknown {
  const numbers = values.filter((value): value is number => typeof value === 'number');
  switch (aggregation) {
    case 'SUM':
      return numbers.reduce((sum, value) => sum + value, 0);
    case 'AVERAGE':
      return numberCell(numbers.reduce((sum, value) => sum + value, 0) / numbers.length);
    case 'MIN':
      return extreme(values, numbers, (a, b) => a < b);
    case 'MAX':
      return extreme(values, numbers, (a, b) => a > b);
    case 'COUNT':
      return numbers.length;
    case 'COUNTA':
      return values.filter((value) => plainText(value) !== '').length;
    case 'COUNTALL':
      return values.length;
    case 'AND':
      return values.length > 0 && values.every(Boolean) ? true : undefined;
    case 'OR':
      return values.some(Boolean) ? true : undefined;
    case 'ARRAYUNIQUE':
      return [...new Set(values.map(plainText))].join(', ') || undefined;
    case 'CONCATENATE':
      return values.map(plainText).join('') || undefined;
    case 'ARRAYJOIN':
      return values.map(plainText).join(', ') || undefined;
  }
}

/** Of dates (ISO strings) the earliest or latest, else of numbers; 0 when there are none, as the upstream shows. */
function extreme(
  values: readonly unknown[],
  numbers: readonly number[],
  wins: (a: string | number, b: string | number) => boolean,
): unknown {
  const candidates: readonly (string | number)[] =
    numbers.length > 0 ? numbers : values.filter((value): value is string => typeof value === 'string');
  if (candidates.length === 0) return 0;
  return candidates.reduce((best, candidate) => (wins(candidate, best) ? candidate : best));
}
