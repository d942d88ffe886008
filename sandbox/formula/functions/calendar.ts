import { DAY_MS, startOf, weekOfYear } from '../calendar.ts';
import { flattened, toNumber, toText, validDate } from '../conversion.ts';
import { parseDate } from '../date-parse.ts';
import { withDate } from './date-argument.ts';
import { FormulaFailure, type FormulaValue } from '../value.ts';
import { strict, type FormulaFunction } from './signature.ts';

/** Days that WORKDAY and WORKDAY_DIFF will walk; more is a failure. */
const MAX_WORKDAYS = 20_000;

/** Parts of dates, working days, and spans told in words; all in UTC. */
export const CALENDAR_FUNCTIONS: Readonly<Record<string, FormulaFunction>> = {
  YEAR: part((date) => date.getUTCFullYear()),
  MONTH: part((date) => date.getUTCMonth() + 1),
  DAY: part((date) => date.getUTCDate()),
  HOUR: part((date) => date.getUTCHours()),
  MINUTE: part((date) => date.getUTCMinutes()),
  SECOND: part((date) => date.getUTCSeconds()),
  WEEKDAY: strict(1, 2, ([value, start]) =>
    withDate(value, (date) => (date.getUTCDay() + 7 - firstWeekday(start)) % 7),
  ),
  WEEKNUM: strict(1, 2, ([value, start]) => withDate(value, (date) => weekOfYear(date, firstWeekday(start)))),
  WORKDAY: strict(2, 3, ([value, count, holidays]) => {
    const days = toNumber(count ?? null);
    if (typeof days !== 'number') return days;
    return withDate(value, (date) => workday(date, Math.trunc(days), holidayDays(holidays)));
  }),
  WORKDAY_DIFF: strict(2, 3, ([first, second, holidays]) =>
    withDate(first, (a) => withDate(second, (b) => workdaysBetween(a, b, holidayDays(holidays)))),
  ),
  FROMNOW: strict(1, 1, ([value], { now }) => withDate(value, (date) => spanInWords(date.getTime() - now))),
  TONOW: strict(1, 1, ([value], { now }) => withDate(value, (date) => spanInWords(date.getTime() - now))),
};

function part(read: (date: Date) => number): FormulaFunction {
  return strict(1, 1, ([value]) => withDate(value, read));
}

function firstWeekday(start: FormulaValue | undefined): number {
  return toText(start ?? null).toLowerCase() === 'monday' ? 1 : 0;
}

/** Holidays come as a text of ISO days with commas between, or as dates. */
function holidayDays(holidays: FormulaValue | undefined): Set<number> {
  const days = new Set<number>();
  for (const item of flattened([holidays ?? null])) {
    const dates = item instanceof Date ? [item] : toText(item).split(',').map(parseDate);
    for (const date of dates) if (date) days.add(startOf(date, 'days').getTime());
  }
  return days;
}

function isWorkday(date: Date, holidays: ReadonlySet<number>): boolean {
  return date.getUTCDay() % 6 !== 0 && !holidays.has(startOf(date, 'days').getTime());
}

/** The date that many working days away, itself not counted. */
function workday(date: Date, days: number, holidays: ReadonlySet<number>): FormulaValue {
  if (!(Math.abs(days) <= MAX_WORKDAYS)) return new FormulaFailure('too many days');
  let [left, at] = [Math.abs(days), date];
  while (left > 0) {
    at = new Date(at.getTime() + Math.sign(days) * DAY_MS);
    if (Number.isNaN(at.getTime())) break;
    if (isWorkday(at, holidays)) left -= 1;
  }
  return validDate(at);
}

/** Both ends count; negative if the second is earlier. */
function workdaysBetween(first: Date, second: Date, holidays: ReadonlySet<number>): FormulaValue {
  const [from, to] = [startOf(first, 'days').getTime(), startOf(second, 'days').getTime()];
  if (Math.abs(to - from) / DAY_MS > MAX_WORKDAYS) return new FormulaFailure('too many days');
  let count = 0;
  for (let at = Math.min(from, to); at <= Math.max(from, to); at += DAY_MS) {
    if (isWorkday(new Date(at), holidays)) count += 1;
  }
  return to < from ? -count : count;
}

/** moment's thresholds: up to so many of a unit are told in it. */
const SPANS: readonly { unit: string; article: string; seconds: number; upTo: number }[] = [
  { unit: 'minute', article: 'a', seconds: 60, upTo: 45 },
  { unit: 'hour', article: 'an', seconds: 3_600, upTo: 22 },
  { unit: 'day', article: 'a', seconds: 86_400, upTo: 26 },
  { unit: 'month', article: 'a', seconds: 2_629_746, upTo: 11 },
  { unit: 'year', article: 'a', seconds: 31_556_952, upTo: Infinity },
];

function spanInWords(ms: number): string {
  const seconds = Math.abs(ms) / 1_000;
  if (seconds < 45) return 'a few seconds';
  for (const { unit, article, seconds: length, upTo } of SPANS) {
    const count = Math.max(Math.round(seconds / length), 1);
    if (count < upTo) return count === 1 ? `${article} ${unit}` : `${count} ${unit}s`;
  }
  return 'many years';
}
