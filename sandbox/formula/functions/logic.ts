import { equals } from '../comparison.ts';
import { FormulaFailure, includes, type FormulaValue } from '../value.ts';
import { lazy, strict, type FormulaFunction } from './signature.ts';

/** AND and OR stop at the argument that decides; a failure before it is the result. */
export const LOGIC_FUNCTIONS: Readonly<Record<string, FormulaFunction>> = {
  TRUE: strict(0, 0, () => 1),
  FALSE: strict(0, 0, () => 0),
  BLANK: strict(0, 0, () => null),
  ERROR: strict(0, 1, () => new FormulaFailure('ERROR()')),
  NOT: strict(1, 1, ([value]) => (includes(value ?? null) ? 0 : 1)),
  XOR: strict(1, Infinity, (values) => values.filter(includes).length % 2),
  AND: lazy(1, Infinity, (args, record) => {
    for (const arg of args) {
      const value = arg(record);
      if (value instanceof FormulaFailure) return value;
      if (!includes(value)) return 0;
    }
    return 1;
  }),
  OR: lazy(1, Infinity, (args, record) => {
    for (const arg of args) {
      const value = arg(record);
      if (value instanceof FormulaFailure) return value;
      if (includes(value)) return 1;
    }
    return 0;
  }),
  ISERROR: lazy(1, 1, ([arg], record) => (arg?.(record) instanceof FormulaFailure ? 1 : 0)),
  IF: lazy(2, 3, ([condition, then, otherwise], record) => {
    const value = condition?.(record) ?? null;
    if (value instanceof FormulaFailure) return value;
    return (includes(value) ? then?.(record) : otherwise?.(record)) ?? null;
  }),
  SWITCH: lazy(3, Infinity, ([subject, ...cases], record) => {
    const value = subject?.(record) ?? null;
    if (value instanceof FormulaFailure) return value;
    for (let at = 0; at + 1 < cases.length; at += 2) {
      const pattern: FormulaValue = cases[at]?.(record) ?? null;
      if (pattern instanceof FormulaFailure) return pattern;
      if (equals(value, pattern, record.readings)) return cases[at + 1]?.(record) ?? null;
    }
    return cases.length % 2 === 1 ? (cases.at(-1)?.(record) ?? null) : null;
  }),
};
