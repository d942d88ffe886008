/** Half-open, in milliseconds since the epoch. */
export interface Interval {
  from: number;
  to: number;
}

const dayMs = 86_400_000;
/** No zone is further from UTC than this. */
const maxOffsetMs = 15 * 3_600_000;

const dayPattern = /^(\d{4})-(\d\d)-(\d\d)$/;
const instantPattern =
  /^(\d{4}-\d\d-\d\d)T([01]\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:\.\d{1,3})?)?(?:Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)$/;

/** Years that every ISO text of a formula can spell, and whose days have a next one. */
const years = { first: 1000, last: 9998 };

/** Whether it looks like a day, on the calendar or not. */
export function isDayText(text: string): boolean {
  return dayPattern.test(text);
}

/** `2026-01-31` as midnight UTC; null for what is no day from the year 1000 to 9998. */
export function parseDay(text: string): number | null {
  const [, year, month, day] = dayPattern.exec(text) ?? [];
  if (year === undefined || Number(year) < years.first || Number(year) > years.last) return null;
  const at = Date.UTC(Number(year), Number(month) - 1, Number(day));
  return new Date(at).toISOString().startsWith(text) ? at : null;
}

/** `2026-01-31T09:30:00.000Z`, or with an offset; null for anything else, a time without an offset included. */
export function parseInstant(text: string): number | null {
  const [, day] = instantPattern.exec(text) ?? [];
  return day === undefined || parseDay(day) === null ? null : Date.parse(text);
}

export function isTimeZone(name: string): boolean {
  return formatIn(name) !== null;
}

/** A day as the clocks of a zone have it: 23 to 25 hours, and none at all where the zone left the day out. */
export function dayIn(day: number, timeZone: string): Interval {
  return { from: startOfDay(day, timeZone), to: startOfDay(day + dayMs, timeZone) };
}

/**
 * The first instant at which the zone's calendar shows the day or a later one. It need not be midnight: where clocks are
 * put forward at midnight the day begins at one.
 */
function startOfDay(day: number, timeZone: string): number {
  const format = formatIn(timeZone);
  if (!format) throw new RangeError(`${timeZone} is no time zone`);
  let [before, begun] = [day - maxOffsetMs, day + maxOffsetMs];
  while (begun - before > 1) {
    const middle = Math.floor((before + begun) / 2);
    if (calendarDay(format, middle) >= day) begun = middle;
    else before = middle;
  }
  return begun;
}

/** Midnight UTC of the day that the zone's calendar shows. */
function calendarDay(format: Intl.DateTimeFormat, at: number): number {
  const parts = new Map(format.formatToParts(at).map(({ type, value }) => [type, Number(value)]));
  return Date.UTC(parts.get('year') ?? 0, (parts.get('month') ?? 1) - 1, parts.get('day') ?? 1);
}

/** Building one costs a hundred times what using it does. By the names that callers gave, of which many mean one zone. */
const formats = new Map<string, Intl.DateTimeFormat>();
const maxFormats = 1_000;

function formatIn(timeZone: string): Intl.DateTimeFormat | null {
  const known = formats.get(timeZone);
  if (known) return known;
  try {
    const format = new Intl.DateTimeFormat('en-US-u-ca-gregory-nu-latn', {
      timeZone,
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
    });
    if (formats.size >= maxFormats) formats.clear();
    formats.set(timeZone, format);
    return format;
  } catch {
    return null;
  }
}
