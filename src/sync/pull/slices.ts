import { maxRecordsPerPage } from '../../calendly/api.ts';

/**
 * The place of a record among `slicesOf`: the second of the day in which it was created and the last letter of its id,
 * stretched so that records made one after the other, or all in one second, come to lie far apart. Neither ever changes,
 * and one formula decides of all records, so each lies in exactly one slice whatever the time zone it is read in.
 */
const place = `MOD((HOUR(CREATED_TIME())*3600+MINUTE(CREATED_TIME())*60+SECOND(CREATED_TIME()))*2221+FIND(RIGHT(RECORD_ID(),1),'0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz')*57,3593)`;

/** A prime, so that no pattern in time falls on few places. */
export const slicesOf = 3_593;

/**
 * Slices that are read at once: while one answer is on its way others are asked for, so that slow answers leave no allowance
 * unused. At 400 ms two would do; the others are for the end, where one after the other has nothing left to read.
 */
export const slicesAtOnce = 5;

/** The first slices of a table whose size is unknown, which tell it: so many of so many places each. */
const openingSlicesCount = 3;
const openingPlaces = 30;

/** A crash repeats what a slice has read; so many pages at most, where the size was known. */
const maxPagesPerSlice = 100;
/** Each slice ends with a page that is not full. */
const minPagesPerSlice = 5;
/** What one slice takes of what is left: the smaller, the more slices; the larger, the longer one alone reads on at the end. */
const shareOfRest = 0.5;

/** From (inclusive) to (exclusive) of 0 to `slicesOf`. */
export interface Slice {
  from: number;
  to: number;
}

export function sliceFormula({ from, to }: Slice): string {
  return `AND(${place}>=${from},${place}<${to})`;
}

export function openingSlices(): Slice[] {
  return Array.from({ length: openingSlicesCount }, (_, index) => ({
    from: index * openingPlaces,
    to: (index + 1) * openingPlaces,
  }));
}

/**
 * Cuts what lies from a place on. Slices get smaller towards the end, so that those who read at once also end at once:
 * one alone could not use the allowance.
 * @param expected records in it
 */
export function cutSlices(from: number, expected: number): Slice[] {
  const places = slicesOf - from;
  const pages = Math.max(1, expected / maxRecordsPerPage);
  const slices: Slice[] = [];
  for (let start = from; start < slicesOf;) {
    const left = (pages * (slicesOf - start)) / places;
    const size = Math.min(maxPagesPerSlice, Math.max(minPagesPerSlice, left * shareOfRest));
    const isLast = left - size < minPagesPerSlice / 2;
    const to = isLast
      ? slicesOf
      : Math.min(slicesOf, start + Math.max(1, Math.round((almostFull(size) / pages) * places)));
    slices.push({ from: start, to });
    start = to;
  }
  return slices;
}

/** As many pages as mostly are full: how many records lie in a slice is chance, and one too many costs a call. */
function almostFull(pages: number): number {
  const records = Math.round(pages) * maxRecordsPerPage;
  return (records - Math.sqrt(records)) / maxRecordsPerPage;
}
