import { boundedText, flattened, toNumber, toText } from '../conversion.ts';
import type { FormulaValue } from '../value.ts';
import { strict, type FormulaFunction } from './signature.ts';

/** A value that is no array counts as an array of one, blank as an empty one. */
export const ARRAY_FUNCTIONS: Readonly<Record<string, FormulaFunction>> = {
  ARRAYJOIN: strict(1, 2, (args) =>
    boundedText(
      items(args[0])
        .map(toText)
        .join(args.length > 1 ? toText(args[1] ?? null) : ', '),
    ),
  ),
  ARRAYCOMPACT: strict(1, 1, ([value]) => items(value).filter((item) => item !== null && item !== '')),
  ARRAYFLATTEN: strict(1, Infinity, (args) => flattened(args.map(items))),
  ARRAYUNIQUE: strict(1, 1, ([value]) => unique(items(value))),
  ARRAYSLICE: strict(2, 3, (args) => slice(args)),
};

function items(value: FormulaValue | undefined): FormulaValue[] {
  if (value === undefined || value === null) return [];
  return Array.isArray(value) ? value : [value];
}

function unique(values: readonly FormulaValue[]): FormulaValue[] {
  const byKey = new Map<string, FormulaValue>();
  for (const value of values) {
    const key = `${value instanceof Date ? 'date' : typeof value}:${toText(value)}`;
    if (!byKey.has(key)) byKey.set(key, value);
  }
  return [...byKey.values()];
}

/** Both ends are 1-based and included; a negative one counts from the end. */
function slice(args: readonly FormulaValue[]): FormulaValue {
  const all = items(args[0]);
  const from = toNumber(args[1] ?? null);
  if (typeof from !== 'number') return from;
  const to = args.length > 2 ? toNumber(args[2] ?? null) : all.length;
  if (typeof to !== 'number') return to;
  const begin = from < 0 ? from : Math.max(from - 1, 0);
  const end = to < 0 ? all.length + to + 1 : to;
  return all.slice(begin, end);
}
