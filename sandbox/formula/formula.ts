import { compile } from './compile.ts';
import { parse } from './parser.ts';
import { DEFAULT_FORMULA_READINGS, type FormulaReadings } from './readings.ts';
import type { Expression } from './syntax.ts';
import type { FormulaRecord, FormulaValue } from './value.ts';

/** A parsed formula, ready to run on any number of records. */
export interface Formula {
  readonly text: string;
  /** Fields the formula names, as written (names or ids), each once. */
  readonly fieldReferences: readonly string[];
  readonly root: Expression;
  readonly run: (record: FormulaRecord) => FormulaValue;
}

/** @throws FormulaError for syntax and unknown functions. Unknown fields are the caller's to find in `fieldReferences`. */
export function parseFormula(text: string, readings: FormulaReadings = DEFAULT_FORMULA_READINGS): Formula {
  const { root, fieldReferences } = parse(text, readings);
  return { text, fieldReferences, root, run: compile(root) };
}

/** Never throws; a runtime error comes back as a `FormulaFailure`. */
export function evaluate(formula: Formula, record: FormulaRecord): FormulaValue {
  return formula.run(record);
}
