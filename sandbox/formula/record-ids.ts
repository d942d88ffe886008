import type { Formula } from './formula.ts';
import type { Expression } from './syntax.ts';

/**
 * The ids a formula asks for if it is nothing but `RECORD_ID()='rec…'`, or an `OR` of those; null for any other formula.
 * Lets a lister look the records up instead of trying the formula on a whole table. Ids may repeat.
 */
export function recordIdsOf(formula: Formula): string[] | null {
  const ids: string[] = [];
  return collect(formula.root, ids) ? ids : null;
}

function collect(expression: Expression, ids: string[]): boolean {
  if (expression.kind === 'call')
    return expression.name === 'OR' && expression.args.every((arg) => collect(arg, ids));
  if (expression.kind !== 'chain') return false;
  const { first, rest } = expression;
  const [only] = rest;
  if (rest.length !== 1 || only?.operator !== '=') return false;
  const id = isRecordId(first) ? only.operand : isRecordId(only.operand) ? first : undefined;
  // A number would need the reading of number against text; such a filter is left to the evaluator.
  if (id?.kind !== 'literal' || typeof id.value !== 'string') return false;
  ids.push(id.value);
  return true;
}

function isRecordId(expression: Expression): boolean {
  return expression.kind === 'call' && expression.name === 'RECORD_ID';
}
