import type { FormulaRecord, FormulaValue } from '../value.ts';

type Run = (record: FormulaRecord) => FormulaValue;

interface Arity {
  minArgs: number;
  maxArgs: number;
}

/** `strict` functions get values, and never run when one is a failure; `lazy` ones run their arguments themselves. */
export type FormulaFunction = Arity &
  (
    | { kind: 'strict'; run: (values: readonly FormulaValue[], record: FormulaRecord) => FormulaValue }
    | {
        kind: 'lazy';
        /** The arguments name fields rather than give values. */
        namesFields: boolean;
        run: (args: readonly Run[], record: FormulaRecord, fieldNames: readonly string[]) => FormulaValue;
      }
  );

/** `maxArgs` may be `Infinity`. */
export function strict(
  minArgs: number,
  maxArgs: number,
  run: (values: readonly FormulaValue[], record: FormulaRecord) => FormulaValue,
): FormulaFunction {
  return { kind: 'strict', minArgs, maxArgs, run };
}

export function lazy(
  minArgs: number,
  maxArgs: number,
  run: (args: readonly Run[], record: FormulaRecord) => FormulaValue,
): FormulaFunction {
  return { kind: 'lazy', namesFields: false, minArgs, maxArgs, run };
}

/** A function of fields by name, such as LAST_MODIFIED_TIME. */
export function ofFields(
  run: (fieldNames: readonly string[], record: FormulaRecord) => FormulaValue,
): FormulaFunction {
  return {
    kind: 'lazy',
    namesFields: true,
    minArgs: 0,
    maxArgs: Infinity,
    run: (_args, record, fieldNames) => run(fieldNames, record),
  };
}
