import { dateTokens, MONTHS } from './date-tokens.ts';

/** Characters in a date text; more is no date. */
const MAX_DATE_TEXT = 200;

const ISO =
  /^\s*(\d{4})-(\d{1,2})(?:-(\d{1,2}))?(?:[T ](\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?)?\s*(Z|[-+]\d{2}:?\d{2})?\s*$/i;

interface Parts {
  year?: number;
  /** 1 to 12 */
  month?: number;
  day?: number;
  hour?: number;
  minute?: number;
  second?: number;
  ms?: number;
  isPm?: boolean;
  offsetMinutes?: number;
  instantMs?: number;
}

/** ISO 8601 (UTC where it names no offset), `M/D/YYYY` and `January 31, 2026`, each with or without a time. */
export function parseDate(text: string): Date | undefined {
  if (text.length > MAX_DATE_TEXT) return undefined;
  const iso = ISO.exec(text);
  if (iso) {
    const [, year, month, day = '1', hour = '0', minute = '0', second = '0', fraction = '0', zone] = iso;
    return dateOf({
      year: Number(year),
      month: Number(month),
      day: Number(day),
      hour: Number(hour),
      minute: Number(minute),
      second: Number(second),
      ms: milliseconds(fraction),
      offsetMinutes: offsetMinutes(zone),
    });
  }
  if (/^\s*\d{1,2}\/\d{1,2}\/\d{4}/.test(text)) return parseDateAs(text, 'M/D/YYYY H:mm:ss A');
  if (/^\s*[A-Za-z]{3,9}\.? \d{1,2},? \d{4}/.test(text)) return parseDateAs(text, 'MMM D YYYY H:mm:ss A');
  return undefined;
}

/**
 * As moment.js does unless told to be strict: each token takes the next place in the text where it fits, what lies
 * between is skipped, and what is missing at the end is left out. `now` fills in larger units that the format lacks.
 */
export function parseDateAs(text: string, format: string, now = new Date(0)): Date | undefined {
  if (text.length > MAX_DATE_TEXT) return undefined;
  const parts: Parts = {};
  let rest = text;
  let isEmpty = true;
  for (const token of dateTokens(format)) {
    const reader = /^S+$/.test(token) ? FRACTION : TOKENS[token];
    const match = reader?.pattern.exec(rest);
    if (reader && match) {
      reader.read(parts, match[0]);
      rest = rest.slice(match.index + match[0].length);
      isEmpty = false;
    } else if (!reader) {
      const literal = token.startsWith('[') ? token.slice(1, -1) : token;
      const at = rest.indexOf(literal);
      if (at >= 0) rest = rest.slice(at + literal.length);
    }
  }
  return isEmpty ? undefined : dateOf(withDefaults(parts, now));
}

interface Reader {
  pattern: RegExp;
  read(parts: Parts, text: string): void;
}

function reader(pattern: RegExp, read: (parts: Parts, text: string) => void): Reader {
  return { pattern, read };
}

const YEAR = reader(/\d{1,4}/, (parts, text) => (parts.year = Number(text)));
const SHORT_YEAR = reader(
  /\d{1,2}/,
  (parts, text) => (parts.year = Number(text) + (Number(text) > 68 ? 1_900 : 2_000)),
);
const MONTH = reader(/\d{1,2}/, (parts, text) => (parts.month = Number(text)));
const MONTH_NAME = reader(
  /jan(uary)?|feb(ruary)?|mar(ch)?|apr(il)?|may|june?|july?|aug(ust)?|sep(t(ember)?)?|oct(ober)?|nov(ember)?|dec(ember)?/i,
  (parts, text) => {
    const start = text.slice(0, 3).toLowerCase();
    parts.month = MONTHS.findIndex((name) => name.toLowerCase().startsWith(start)) + 1;
  },
);
const DAY = reader(/\d{1,2}/, (parts, text) => (parts.day = Number(text)));
const ORDINAL_DAY = reader(
  /\d{1,2}(st|nd|rd|th)?/i,
  (parts, text) => (parts.day = Number.parseInt(text, 10)),
);
const HOUR = reader(/\d{1,2}/, (parts, text) => (parts.hour = Number(text)));
const MINUTE = reader(/\d{1,2}/, (parts, text) => (parts.minute = Number(text)));
const SECOND = reader(/\d{1,2}/, (parts, text) => (parts.second = Number(text)));
const FRACTION = reader(/\d{1,9}/, (parts, text) => (parts.ms = milliseconds(text)));
const MERIDIEM = reader(/[ap]\.?m?\.?/i, (parts, text) => (parts.isPm = /^p/i.test(text)));
const OFFSET = reader(/Z|[-+]\d{2}:?\d{2}/i, (parts, text) => (parts.offsetMinutes = offsetMinutes(text)));
const WEEKDAY_NAME = reader(/(sun|mon|tues?|wed(nes)?|thu(rs)?|fri|sat(ur)?)(day)?/i, () => undefined);

const TOKENS: Readonly<Record<string, Reader>> = {
  YYYY: YEAR,
  Y: YEAR,
  YY: SHORT_YEAR,
  M: MONTH,
  MM: MONTH,
  MMM: MONTH_NAME,
  MMMM: MONTH_NAME,
  D: DAY,
  DD: DAY,
  Do: ORDINAL_DAY,
  ddd: WEEKDAY_NAME,
  dddd: WEEKDAY_NAME,
  H: HOUR,
  HH: HOUR,
  h: HOUR,
  hh: HOUR,
  k: HOUR,
  kk: HOUR,
  m: MINUTE,
  mm: MINUTE,
  s: SECOND,
  ss: SECOND,
  a: MERIDIEM,
  A: MERIDIEM,
  Z: OFFSET,
  ZZ: OFFSET,
  X: reader(/[-+]?\d+(\.\d{1,3})?/, (parts, text) => (parts.instantMs = Math.round(Number(text) * 1_000))),
  x: reader(/[-+]?\d+/, (parts, text) => (parts.instantMs = Number(text))),
};

function withDefaults(parts: Parts, now: Date): Parts {
  if (parts.year !== undefined) return parts;
  const withYear = { ...parts, year: now.getUTCFullYear() };
  if (parts.month !== undefined) return withYear;
  const withMonth = { ...withYear, month: now.getUTCMonth() + 1 };
  return parts.day === undefined ? { ...withMonth, day: now.getUTCDate() } : withMonth;
}

/** Refuses what is not on the calendar or the clock, such as the 31st of February. */
function dateOf(parts: Parts): Date | undefined {
  if (parts.instantMs !== undefined) return existing(new Date(parts.instantMs));
  const { year = 1970, month = 1, day = 1, minute = 0, second = 0, ms = 0 } = parts;
  const hour = hourOf(parts);
  if (hour > 24 || (hour === 24 && minute + second + ms > 0) || minute > 59 || second > 59) return undefined;
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day);
  if (date.getUTCMonth() !== month - 1 || date.getUTCDate() !== day) return undefined;
  date.setUTCHours(hour, minute - (parts.offsetMinutes ?? 0), second, ms);
  return existing(date);
}

function hourOf({ hour = 0, isPm }: Parts): number {
  if (isPm === undefined || hour > 12) return hour;
  return (hour % 12) + (isPm ? 12 : 0);
}

function existing(date: Date): Date | undefined {
  return Number.isNaN(date.getTime()) ? undefined : date;
}

function milliseconds(fraction: string): number {
  return Math.trunc(Number(fraction.slice(0, 3).padEnd(3, '0')));
}

function offsetMinutes(zone: string | undefined): number {
  const match = /^([-+])(\d{2}):?(\d{2})$/.exec(zone ?? '');
  if (!match) return 0;
  return (match[1] === '-' ? -1 : 1) * (Number(match[2]) * 60 + Number(match[3]));
}
