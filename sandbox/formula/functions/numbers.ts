import { flattened, toNumber } from '../conversion.ts';
import { FormulaFailure, type FormulaValue } from '../value.ts';
import { strict, type FormulaFunction } from './signature.ts';

/** The number functions. Those over several values look into arrays and pass over what is no number. */
export const NUMBER_FUNCTIONS: Readonly<Record<string, FormulaFunction>> = {
  ABS: numeric(1, 1, Math.abs),
  INT: numeric(1, 1, Math.floor),
  SQRT: numeric(1, 1, Math.sqrt),
  EXP: numeric(1, 1, Math.exp),
  POWER: numeric(2, 2, (base, exponent = 1) => base ** exponent),
  LOG: numeric(1, 2, (value, base = 10) =>
    base === 10 ? Math.log10(value) : Math.log(value) / Math.log(base),
  ),
  MOD: numeric(2, 2, (value, divisor = 0) => value - divisor * Math.floor(value / divisor)),
  ROUND: numeric(1, 2, (value, places) => scaled(value, places, Math.round)),
  ROUNDUP: numeric(1, 2, (value, places) => scaled(value, places, awayFromZero)),
  ROUNDDOWN: numeric(1, 2, (value, places) => scaled(value, places, Math.trunc)),
  CEILING: numeric(1, 2, (value, step = 1) => stepped(value, step, Math.ceil)),
  FLOOR: numeric(1, 2, (value, step = 1) => stepped(value, step, Math.floor)),
  EVEN: numeric(1, 1, (value) => 2 * awayFromZero(value / 2)),
  ODD: numeric(1, 1, (value) =>
    value < 0 ? 2 * Math.floor((value - 1) / 2) + 1 : 2 * Math.ceil((value + 1) / 2) - 1,
  ),
  SUM: strict(1, Infinity, (args) => numbers(args).reduce((sum, value) => sum + value, 0)),
  AVERAGE: strict(1, Infinity, (args) => {
    const values = numbers(args);
    return values.reduce((sum, value) => sum + value, 0) / values.length;
  }),
  MAX: strict(1, Infinity, (args) => extreme(args, Math.max)),
  MIN: strict(1, Infinity, (args) => extreme(args, Math.min)),
  COUNT: strict(1, Infinity, (args) => numbers(args).length),
  COUNTA: strict(
    1,
    Infinity,
    (args) => flattened(args).filter((item) => item !== null && item !== '').length,
  ),
  COUNTALL: strict(1, Infinity, (args) => flattened(args).length),
};

function numeric(
  minArgs: number,
  maxArgs: number,
  compute: (first: number, second?: number) => number,
): FormulaFunction {
  return strict(minArgs, maxArgs, (args) => {
    const first = toNumber(args[0] ?? null);
    if (typeof first !== 'number') return first;
    if (args.length < 2) return compute(first);
    const second = toNumber(args[1] ?? null);
    return typeof second === 'number' ? compute(first, second) : second;
  });
}

function numbers(args: readonly FormulaValue[]): number[] {
  return flattened(args).filter((item) => typeof item === 'number');
}

/** The latest or earliest of instants, if there are any; otherwise of numbers, and 0 of none. */
function extreme(args: readonly FormulaValue[], pick: (...values: number[]) => number): FormulaValue {
  const flat = flattened(args);
  const failure = flat.find((item) => item instanceof FormulaFailure);
  if (failure) return failure;
  const instants = flat.filter((item) => item instanceof Date);
  const [first, ...rest] = instants.length > 0 ? instants.map(Number) : numbers(flat);
  if (first === undefined) return 0;
  const found = rest.reduce((best, value) => pick(best, value), first);
  return instants.length > 0 ? new Date(found) : found;
}

/** Decimal places; the detour through text keeps 1.005 from being a little less than it says. */
function scaled(value: number, places = 0, round: (value: number) => number): number {
  const whole = Math.trunc(places);
  const shifted = shift(value, whole);
  return Number.isFinite(shifted) ? shift(round(shifted), -whole) : value;
}

function shift(value: number, places: number): number {
  const [digits, exponent = '0'] = String(value).split('e');
  return Number(`${digits}e${Number(exponent) + places}`);
}

function awayFromZero(value: number): number {
  return value < 0 ? Math.floor(value) : Math.ceil(value);
}

function stepped(value: number, step: number, round: (value: number) => number): number {
  return step === 0 ? 0 : round(value / step) * step;
}
