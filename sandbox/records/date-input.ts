import type { FieldOptions } from '../bases/documents.ts';
import { fromWallClock } from './zoned-time.ts';

const ISO =
  /^(\d{4})-(\d{2})-(\d{2})(?:[T ](\d{2}):(\d{2})(?::(\d{2})(?:\.(\d{1,9}))?)?)?\s?(Z|[+-]\d{2}:?\d{2})?$/i;

/** A date as `YYYY-MM-DD`, of an ISO date or time; undefined if it is none. */
export function isoDate(text: string): string | undefined {
  const [, year = '', month = '', day = '', hour, , , , zone] = ISO.exec(text) ?? [];
  if (!isCalendarDay(Number(year), Number(month), Number(day))) return undefined;
  if (hour === undefined || zone === undefined) return `${year}-${month}-${day}`;
  const instant = Date.parse(text.replace(' ', 'T'));
  return Number.isNaN(instant) ? undefined : new Date(instant).toISOString().slice(0, 10);
}

/**
 * An instant as ISO in UTC with milliseconds. Without an offset the text is read in the field's `timeZone`, unless that is
 * `utc` or `client`; then in UTC. Undefined if it is none.
 */
export function isoDateTime(text: string, options: FieldOptions): string | undefined {
  const match = ISO.exec(text);
  if (match === null) return undefined;
  const [, year, month, day, hour = 0, minute = 0, second = 0, fraction = '', zone] = match;
  if (!isCalendarDay(Number(year), Number(month), Number(day))) return undefined;
  if (Number(hour) > 23 || Number(minute) > 59 || Number(second) > 59) return undefined;
  const milliseconds = Number(fraction.slice(0, 3).padEnd(3, '0'));
  const utcMs =
    Date.UTC(Number(year), Number(month) - 1, Number(day), Number(hour), Number(minute), Number(second)) +
    milliseconds;
  if (zone !== undefined) return new Date(utcMs - offsetMs(zone)).toISOString();
  const timeZone = options.timeZone ?? 'utc';
  const isUtc = timeZone === 'utc' || timeZone === 'client';
  return new Date(isUtc ? utcMs : fromWallClock(utcMs, timeZone)).toISOString();
}

/** What `typecast` makes of a date written in another way; undefined if it can't be read. */
export function looseDate(text: string, options: FieldOptions): string | undefined {
  const [, first, second, year, rest = ''] = /^(\d{1,2})\/(\d{1,2})\/(\d{4})(.*)$/.exec(text.trim()) ?? [];
  if (first !== undefined && second !== undefined && year !== undefined) {
    const [month, day] = options.dateFormat?.name === 'european' ? [second, first] : [first, second];
    return looseDate(`${year}-${month.padStart(2, '0')}-${day.padStart(2, '0')}${rest}`, options);
  }
  if (ISO.test(text.trim())) return text.trim();
  const instant = Date.parse(`${text} UTC`);
  return Number.isNaN(instant) ? undefined : new Date(instant).toISOString();
}

function isCalendarDay(year: number, month: number, day: number): boolean {
  if (month < 1 || month > 12 || day < 1) return false;
  return day <= new Date(Date.UTC(year, month, 0)).getUTCDate();
}

function offsetMs(zone: string): number {
  if (zone.toUpperCase() === 'Z') return 0;
  const [, sign, hours, minutes] = /^([+-])(\d{2}):?(\d{2})$/.exec(zone) ?? [];
  return (sign === '-' ? -1 : 1) * (Number(hours) * 60 + Number(minutes)) * 60_000;
}
