/** Gregorian calendar arithmetic in UTC, with months and years clamped to the last day of the month as moment.js does. */
export type DateUnit =
  'milliseconds' | 'seconds' | 'minutes' | 'hours' | 'days' | 'weeks' | 'months' | 'quarters' | 'years';

export const DAY_MS = 86_400_000;

const UNIT_MS: Partial<Record<DateUnit, number>> = {
  milliseconds: 1,
  seconds: 1_000,
  minutes: 60_000,
  hours: 3_600_000,
  days: DAY_MS,
  weeks: 7 * DAY_MS,
};

const UNIT_MONTHS: Partial<Record<DateUnit, number>> = { months: 1, quarters: 3, years: 12 };

/** moment's short names; here `M` is months and `m` minutes. */
const SHORT_UNITS = new Map<string, DateUnit>([
  ['ms', 'milliseconds'],
  ['s', 'seconds'],
  ['m', 'minutes'],
  ['h', 'hours'],
  ['d', 'days'],
  ['w', 'weeks'],
  ['M', 'months'],
  ['Q', 'quarters'],
  ['y', 'years'],
]);

const UNITS = new Map<string, DateUnit>([...SHORT_UNITS.values()].map((unit) => [unit, unit]));

/** Accepts `day`, `days`, `d` and the like; long names in any case. */
export function unitOf(text: string): DateUnit | undefined {
  const long = text.toLowerCase();
  return SHORT_UNITS.get(text) ?? UNITS.get(long) ?? UNITS.get(`${long}s`);
}

export function addUnits(date: Date, count: number, unit: DateUnit): Date {
  const ms = UNIT_MS[unit];
  return ms === undefined
    ? addMonths(date, Math.trunc(count) * (UNIT_MONTHS[unit] ?? 1))
    : new Date(date.getTime() + count * ms);
}

function addMonths(date: Date, months: number): Date {
  const moved = new Date(date);
  moved.setUTCDate(1);
  moved.setUTCMonth(moved.getUTCMonth() + months);
  const lastDay = new Date(Date.UTC(moved.getUTCFullYear(), moved.getUTCMonth() + 1, 0)).getUTCDate();
  moved.setUTCDate(Math.min(date.getUTCDate(), lastDay));
  return moved;
}

/** Whole units from `b` to `a`, towards zero; negative if `b` is later. */
export function differenceIn(a: Date, b: Date, unit: DateUnit): number {
  const ms = UNIT_MS[unit];
  const difference =
    ms === undefined ? monthsBetween(a, b) / (UNIT_MONTHS[unit] ?? 1) : (a.getTime() - b.getTime()) / ms;
  return Math.trunc(difference) + 0;
}

function monthsBetween(a: Date, b: Date): number {
  const guess = (a.getUTCFullYear() - b.getUTCFullYear()) * 12 + a.getUTCMonth() - b.getUTCMonth();
  const overshoot = a.getTime() - addMonths(b, guess).getTime();
  if (guess > 0 && overshoot < 0) return guess - 1;
  if (guess < 0 && overshoot > 0) return guess + 1;
  return guess;
}

/** The start of the unit that holds `date`; weeks start on Sunday. */
export function startOf(date: Date, unit: DateUnit): Date {
  const [year, month] = [date.getUTCFullYear(), date.getUTCMonth()];
  if (unit === 'years') return utcDay(year, 0);
  if (unit === 'quarters') return utcDay(year, month - (month % 3));
  if (unit === 'months') return utcDay(year, month);
  const ms = unit === 'weeks' ? DAY_MS : (UNIT_MS[unit] ?? 1);
  const start = new Date(Math.floor(date.getTime() / ms) * ms);
  return unit === 'weeks' ? new Date(start.getTime() - start.getUTCDay() * DAY_MS) : start;
}

function utcDay(year: number, month: number): Date {
  const day = new Date(0);
  day.setUTCFullYear(year, month, 1);
  return day;
}

/** Days since the first of January, which is 0. */
export function dayOfYear(date: Date): number {
  return Math.floor((date.getTime() - startOf(date, 'years').getTime()) / DAY_MS);
}

/** Week 1 holds the first of January. `firstWeekday` is 0 for Sunday, 1 for Monday. */
export function weekOfYear(date: Date, firstWeekday: number): number {
  const weekEnd = new Date(date.getTime() + ((6 - date.getUTCDay() + firstWeekday) % 7) * DAY_MS);
  return Math.floor(dayOfYear(weekEnd) / 7) + 1;
}

/** ISO 8601: week 1 holds the first Thursday, weeks start on Monday. */
export function isoWeek(date: Date): { year: number; week: number } {
  const thursday = new Date(date.getTime() + (4 - (date.getUTCDay() || 7)) * DAY_MS);
  return { year: thursday.getUTCFullYear(), week: Math.floor(dayOfYear(thursday) / 7) + 1 };
}

/** Formats kept per zone; there are some 600 zones. */
const zoneFormats = new Map<string, Intl.DateTimeFormat | null>();
const MAX_ZONE_FORMATS = 1_000;

/** How far the zone's wall clock is ahead of UTC at that instant, in milliseconds; undefined for an unknown zone. */
export function zoneOffsetMs(date: Date, timeZone: string): number | undefined {
  if (timeZone === 'UTC') return 0;
  const format = zoneFormat(timeZone);
  if (!format) return undefined;
  const parts = new Map(format.formatToParts(date).map(({ type, value }) => [type, Number(value)]));
  const part = (type: Intl.DateTimeFormatPartTypes): number => parts.get(type) ?? 0;
  const wall = new Date(0);
  wall.setUTCFullYear(part('year'), part('month') - 1, part('day'));
  wall.setUTCHours(part('hour'), part('minute'), part('second'));
  return wall.getTime() - Math.floor(date.getTime() / 1_000) * 1_000;
}

function zoneFormat(timeZone: string): Intl.DateTimeFormat | null {
  let format = zoneFormats.get(timeZone);
  if (format === undefined) {
    format = newZoneFormat(timeZone);
    if (zoneFormats.size >= MAX_ZONE_FORMATS) zoneFormats.clear();
    zoneFormats.set(timeZone, format);
  }
  return format;
}

function newZoneFormat(timeZone: string): Intl.DateTimeFormat | null {
  try {
    return new Intl.DateTimeFormat('en-US', {
      timeZone,
      hourCycle: 'h23',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric',
    });
  } catch {
    return null;
  }
}

/** The instant at which the zone's present day began, leaving aside clock changes on that very day. */
export function midnightIn(date: Date, timeZone: string): Date {
  const offset = zoneOffsetMs(date, timeZone) ?? 0;
  return new Date(startOf(new Date(date.getTime() + offset), 'days').getTime() - offset);
}
