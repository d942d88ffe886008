import { evaluate, parseFormula } from '../../../sandbox/formula/formula.ts';
import { DEFAULT_FORMULA_READINGS, type FormulaReadings } from '../../../sandbox/formula/readings.ts';
import { FormulaFailure, type FormulaRecord, type FormulaValue } from '../../../sandbox/formula/value.ts';

export const CREATED = '2026-01-02T03:04:05.678Z';
export const NOW = '2026-03-04T05:06:07.008Z';

const FIELDS: Readonly<Record<string, FormulaValue>> = {
  Name: 'Ada Lovelace',
  'Two words': 'spaced',
  'Odd}name': 'braced',
  Größe: 7,
  fldScore0000000001: 42,
  Score: 42,
  Zero: 0,
  Digits: '42',
  Done: 1,
  Undone: 0,
  When: new Date('2026-01-31T12:34:56.000Z'),
  Empty: null,
  Links: ['Acme', 'Globex'],
  One: [5],
  Numbers: [3, 1, 2, 3, null],
};

/** A record with the fields above; others are blank. */
export function sampleRecord(
  readings: Partial<FormulaReadings> = {},
  more: Partial<FormulaRecord> = {},
): FormulaRecord {
  return {
    id: 'recAAAAAAAAAAAAAA1',
    createdTime: CREATED,
    now: Date.parse(NOW),
    readings: { ...DEFAULT_FORMULA_READINGS, ...readings },
    field: (name) => FIELDS[name] ?? null,
    ...more,
  };
}

/** Runs a formula on the sample record. Instants come back as ISO text, failures as `#Error!`. */
export function run(
  text: string,
  readings: Partial<FormulaReadings> = {},
  more: Partial<FormulaRecord> = {},
): unknown {
  const record = sampleRecord(readings, more);
  return shown(evaluate(parseFormula(text, record.readings), record));
}

function shown(value: FormulaValue): unknown {
  if (value instanceof FormulaFailure) return '#Error!';
  if (value instanceof Date) return value.toISOString();
  return Array.isArray(value) ? value.map(shown) : value;
}
