import { addUnits, differenceIn, startOf, unitOf, zoneOffsetMs } from '../calendar.ts';
import { boundedText, toNumber, toText, validDate } from '../conversion.ts';
import { formatDate } from '../date-format.ts';
import { parseDate, parseDateAs } from '../date-parse.ts';
import { withDate } from './date-argument.ts';
import { FormulaFailure, ZonedDate, type FormulaValue } from '../value.ts';
import { strict, type FormulaFunction } from './signature.ts';

const NO_UNIT = new FormulaFailure('unknown unit');
const NO_ZONE = new FormulaFailure('unknown time zone');
const NO_DATE = new FormulaFailure('not a date');

/** Instants: reading and writing them, comparing and moving them. Blank or unreadable dates are failures. */
export const DATE_FUNCTIONS: Readonly<Record<string, FormulaFunction>> = {
  IS_BEFORE: strict(2, 2, (args) => compared(args, (a, b) => a < b)),
  IS_AFTER: strict(2, 2, (args) => compared(args, (a, b) => a > b)),
  IS_SAME: strict(2, 3, (args, { readings }) => {
    const written =
      args.length > 2 ? toText(args[2] ?? null) : readings.isSameWithoutUnitIsExact ? 'ms' : 'day';
    const unit = unitOf(written);
    if (!unit) return NO_UNIT;
    return compared(args, (a, b) => Number(startOf(a, unit)) === Number(startOf(b, unit)));
  }),
  DATETIME_PARSE: strict(1, 3, ([value, format], { now }) => {
    if (value instanceof Date) return value;
    const text = toText(value ?? null);
    const isFormatted = format !== undefined && format !== null;
    return (isFormatted ? parseDateAs(text, toText(format), new Date(now)) : parseDate(text)) ?? NO_DATE;
  }),
  DATETIME_FORMAT: strict(1, 2, ([value, format]) =>
    withDate(value, (date) =>
      format === undefined || format === null ? toText(date) : formatted(date, toText(format)),
    ),
  ),
  DATESTR: strict(1, 1, ([value]) => withDate(value, (date) => formatted(date, 'YYYY-MM-DD'))),
  TIMESTR: strict(1, 1, ([value]) => withDate(value, (date) => formatted(date, 'HH:mm:ss'))),
  DATEADD: strict(3, 3, ([value, count, unitName]) => {
    const unit = unitOf(toText(unitName ?? null));
    if (!unit) return NO_UNIT;
    const number = toNumber(count ?? null);
    if (typeof number !== 'number') return number;
    return withDate(value, (date) => validDate(addUnits(date, number, unit)));
  }),
  DATETIME_DIFF: strict(2, 3, ([first, second, unitName]) => {
    const unit = unitName === undefined ? 'seconds' : unitOf(toText(unitName));
    if (!unit) return NO_UNIT;
    return withDate(first, (a) => withDate(second, (b) => differenceIn(a, b, unit)));
  }),
  SET_TIMEZONE: strict(2, 2, ([value, zone]) => {
    const timeZone = toText(zone ?? null);
    return withDate(value, (date) =>
      zoneOffsetMs(date, timeZone) === undefined ? NO_ZONE : new ZonedDate(date.getTime(), timeZone),
    );
  }),
  // Names of months and days stay English: only the calls' success is imitated.
  SET_LOCALE: strict(2, 2, ([value]) => withDate(value, (date) => date)),
};

function compared(args: readonly FormulaValue[], test: (a: Date, b: Date) => boolean): FormulaValue {
  return withDate(args[0], (a) => withDate(args[1], (b) => (test(a, b) ? 1 : 0)));
}

function formatted(date: Date, format: string): FormulaValue {
  const text = formatDate(date, format, date instanceof ZonedDate ? date.timeZone : 'UTC');
  return text === undefined ? NO_ZONE : boundedText(text);
}
