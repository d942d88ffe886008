import type { FormulaReadings } from './readings.ts';

/**
 * A value while a formula runs: `null` is blank, truth is 1 and 0, an instant is a valid `Date` (or `ZonedDate`),
 * and a runtime error is a `FormulaFailure`: a value that travels, never a throw.
 */
export type FormulaValue = null | string | number | Date | FormulaFailure | FormulaValue[];

/** What a cell shows as `#ERROR!`. */
export class FormulaFailure {
  readonly reason: string;

  constructor(reason: string) {
    this.reason = reason;
  }
}

/** An instant that remembers how DATETIME_FORMAT shall show it. */
export class ZonedDate extends Date {
  /** IANA name */
  readonly timeZone: string;

  constructor(instantMs: number, timeZone: string) {
    super(instantMs);
    this.timeZone = timeZone;
  }
}

/** What a formula may ask of the record it runs on. Times are ISO-8601, `now` is in milliseconds. */
export interface FormulaRecord {
  id: string;
  createdTime: string;
  modifiedTime?: string;
  now: number;
  readings: FormulaReadings;
  field(nameOrId: string): FormulaValue;
  /** Last change of any of the named fields (names or ids), ISO-8601; where absent, `modifiedTime` stands in. */
  fieldsModifiedTime?(namesOrIds: readonly string[]): string | undefined;
}

/** Whether a filter that came to this value keeps its record; also the truth of a condition inside a formula. */
export function includes(value: FormulaValue): boolean {
  if (value === null || value === '' || value === 0) return false;
  if (typeof value === 'number') return !Number.isNaN(value);
  if (Array.isArray(value)) return value.length > 0;
  return !(value instanceof FormulaFailure);
}
