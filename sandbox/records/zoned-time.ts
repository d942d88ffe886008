const formatters = new Map<string, Intl.DateTimeFormat>();
/** Zones remembered; there are some 600 in all. */
const MAX_FORMATTERS = 700;

export interface WallClock {
  year: number;
  month: number;
  day: number;
  hour: number;
  minute: number;
  second: number;
}

export function isTimeZone(zone: string): boolean {
  try {
    formatter(zone);
    return true;
  } catch {
    return false;
  }
}

function formatter(timeZone: string): Intl.DateTimeFormat {
  let known = formatters.get(timeZone);
  if (known === undefined) {
    known = new Intl.DateTimeFormat('en-US', {
      timeZone,
      hourCycle: 'h23',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric',
    });
    if (formatters.size < MAX_FORMATTERS) formatters.set(timeZone, known);
  }
  return known;
}

/** What clocks in the zone show at that instant (ms since the epoch). */
export function wallClock(instantMs: number, timeZone: string): WallClock {
  const parts: Record<string, number> = {};
  for (const { type, value } of formatter(timeZone).formatToParts(instantMs)) parts[type] = Number(value);
  const { year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = parts;
  return { year, month, day, hour, minute, second };
}

/** The instant at which clocks in the zone show what clocks in UTC show at `utcMs`. */
export function fromWallClock(utcMs: number, timeZone: string): number {
  const offsetAt = (instantMs: number): number => {
    const shown = wallClock(instantMs, timeZone);
    const asUtc = Date.UTC(shown.year, shown.month - 1, shown.day, shown.hour, shown.minute, shown.second);
    return asUtc - Math.floor(instantMs / 1000) * 1000;
  };
  // The offset may differ on the two sides of a clock change, so look again from the first guess.
  return utcMs - offsetAt(utcMs - offsetAt(utcMs));
}
