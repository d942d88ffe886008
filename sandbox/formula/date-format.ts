import { dayOfYear, isoWeek, weekOfYear, zoneOffsetMs } from './calendar.ts';
import { dateTokens, MONTHS, WEEKDAYS } from './date-tokens.ts';

/** An instant as the wall clock of a zone shows it: `wall`'s UTC parts are the zone's local ones. */
interface Shown {
  instant: Date;
  wall: Date;
  offsetMs: number;
  timeZone: string;
}

/** Formats by moment.js tokens, in English; undefined if the zone is unknown. */
export function formatDate(instant: Date, format: string, timeZone = 'UTC'): string | undefined {
  const offsetMs = zoneOffsetMs(instant, timeZone);
  if (offsetMs === undefined) return undefined;
  const shown: Shown = { instant, wall: new Date(instant.getTime() + offsetMs), offsetMs, timeZone };
  return dateTokens(format)
    .map((token) => {
      if (token.startsWith('[')) return token.slice(1, -1);
      if (/^S+$/.test(token)) return fraction(shown.wall, token.length);
      return TOKENS[token]?.(shown) ?? token;
    })
    .join('');
}

const TOKENS: Readonly<Record<string, (shown: Shown) => string>> = {
  YYYY: ({ wall }) => pad(wall.getUTCFullYear(), 4),
  YY: ({ wall }) => pad(wall.getUTCFullYear() % 100, 2),
  Y: ({ wall }) => String(wall.getUTCFullYear()),
  Q: ({ wall }) => String(quarter(wall)),
  Qo: ({ wall }) => ordinal(quarter(wall)),
  M: ({ wall }) => String(wall.getUTCMonth() + 1),
  Mo: ({ wall }) => ordinal(wall.getUTCMonth() + 1),
  MM: ({ wall }) => pad(wall.getUTCMonth() + 1, 2),
  MMM: ({ wall }) => (MONTHS[wall.getUTCMonth()] ?? '').slice(0, 3),
  MMMM: ({ wall }) => MONTHS[wall.getUTCMonth()] ?? '',
  D: ({ wall }) => String(wall.getUTCDate()),
  Do: ({ wall }) => ordinal(wall.getUTCDate()),
  DD: ({ wall }) => pad(wall.getUTCDate(), 2),
  DDD: ({ wall }) => String(dayOfYear(wall) + 1),
  DDDo: ({ wall }) => ordinal(dayOfYear(wall) + 1),
  DDDD: ({ wall }) => pad(dayOfYear(wall) + 1, 3),
  d: ({ wall }) => String(wall.getUTCDay()),
  do: ({ wall }) => ordinal(wall.getUTCDay()),
  dd: ({ wall }) => weekday(wall).slice(0, 2),
  ddd: ({ wall }) => weekday(wall).slice(0, 3),
  dddd: ({ wall }) => weekday(wall),
  e: ({ wall }) => String(wall.getUTCDay()),
  E: ({ wall }) => String(wall.getUTCDay() || 7),
  w: ({ wall }) => String(weekOfYear(wall, 0)),
  wo: ({ wall }) => ordinal(weekOfYear(wall, 0)),
  ww: ({ wall }) => pad(weekOfYear(wall, 0), 2),
  W: ({ wall }) => String(isoWeek(wall).week),
  Wo: ({ wall }) => ordinal(isoWeek(wall).week),
  WW: ({ wall }) => pad(isoWeek(wall).week, 2),
  GGGG: ({ wall }) => pad(isoWeek(wall).year, 4),
  GG: ({ wall }) => pad(isoWeek(wall).year % 100, 2),
  gggg: ({ wall }) => pad(weekYear(wall), 4),
  gg: ({ wall }) => pad(weekYear(wall) % 100, 2),
  H: ({ wall }) => String(wall.getUTCHours()),
  HH: ({ wall }) => pad(wall.getUTCHours(), 2),
  h: ({ wall }) => String(wall.getUTCHours() % 12 || 12),
  hh: ({ wall }) => pad(wall.getUTCHours() % 12 || 12, 2),
  k: ({ wall }) => String(wall.getUTCHours() || 24),
  kk: ({ wall }) => pad(wall.getUTCHours() || 24, 2),
  m: ({ wall }) => String(wall.getUTCMinutes()),
  mm: ({ wall }) => pad(wall.getUTCMinutes(), 2),
  s: ({ wall }) => String(wall.getUTCSeconds()),
  ss: ({ wall }) => pad(wall.getUTCSeconds(), 2),
  a: ({ wall }) => (wall.getUTCHours() < 12 ? 'am' : 'pm'),
  A: ({ wall }) => (wall.getUTCHours() < 12 ? 'AM' : 'PM'),
  Z: ({ offsetMs }) => offset(offsetMs, ':'),
  ZZ: ({ offsetMs }) => offset(offsetMs, ''),
  z: ({ timeZone }) => timeZone,
  zz: ({ timeZone }) => timeZone,
  X: ({ instant }) => String(Math.floor(instant.getTime() / 1_000)),
  x: ({ instant }) => String(instant.getTime()),
};

function pad(value: number, width: number): string {
  return `${value < 0 ? '-' : ''}${String(Math.abs(value)).padStart(width, '0')}`;
}

function ordinal(value: number): string {
  const teen = value % 100 > 10 && value % 100 < 14;
  return `${value}${(teen ? undefined : ['th', 'st', 'nd', 'rd'][value % 10]) ?? 'th'}`;
}

function quarter(wall: Date): number {
  return Math.floor(wall.getUTCMonth() / 3) + 1;
}

function weekday(wall: Date): string {
  return WEEKDAYS[wall.getUTCDay()] ?? '';
}

/** The last days of December may belong to week 1 of the next year. */
function weekYear(wall: Date): number {
  return wall.getUTCFullYear() + (wall.getUTCMonth() === 11 && weekOfYear(wall, 0) === 1 ? 1 : 0);
}

function fraction(wall: Date, digits: number): string {
  return pad(wall.getUTCMilliseconds(), 3).padEnd(digits, '0').slice(0, digits);
}

function offset(offsetMs: number, separator: string): string {
  const minutes = Math.abs(offsetMs) / 60_000;
  return `${offsetMs < 0 ? '-' : '+'}${pad(Math.floor(minutes / 60), 2)}${separator}${pad(Math.floor(minutes % 60), 2)}`;
}
