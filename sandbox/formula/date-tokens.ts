/** moment.js format strings: bracketed literals, tokens, and any other character as it stands. */
const TOKEN =
  /\[[^\]]*\]|LTS|LT|L{1,4}|l{1,4}|Mo|M{1,4}|DDDo|DDDD?|Do|DD?|d{2,4}|do?|wo|ww?|Wo|WW?|Qo|Q|YYYY|YY|GGGG|GG|gggg|gg|Y|e|E|a|A|hh?|HH?|kk?|mm?|ss?|S{1,9}|x|X|zz?|ZZ?|[^]/g;

const LOCALISED: Readonly<Record<string, string>> = {
  LT: 'h:mm A',
  LTS: 'h:mm:ss A',
  L: 'MM/DD/YYYY',
  LL: 'MMMM D, YYYY',
  LLL: 'MMMM D, YYYY h:mm A',
  LLLL: 'dddd, MMMM D, YYYY h:mm A',
  l: 'M/D/YYYY',
  ll: 'MMM D, YYYY',
  lll: 'MMM D, YYYY h:mm A',
  llll: 'ddd, MMM D, YYYY h:mm A',
};

/** Characters in a format. */
export const MAX_FORMAT_LENGTH = 500;

export const MONTHS = [
  'January',
  'February',
  'March',
  'April',
  'May',
  'June',
  'July',
  'August',
  'September',
  'October',
  'November',
  'December',
] as const;

export const WEEKDAYS = [
  'Sunday',
  'Monday',
  'Tuesday',
  'Wednesday',
  'Thursday',
  'Friday',
  'Saturday',
] as const;

/** The tokens of a format, with the localised ones (`L`, `LT`, ...) spelled out in US English. */
export function dateTokens(format: string): string[] {
  const tokens = format.slice(0, MAX_FORMAT_LENGTH).match(TOKEN) ?? [];
  return tokens.flatMap((token) => LOCALISED[token]?.match(TOKEN) ?? [token]);
}
