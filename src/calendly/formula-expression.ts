import { fieldReference, numberLiteral, recordIdsFormula, stringLiteral } from './formula.ts';

/*
 * Formulas as trees, printed so that they mean the same under every reading of what the upstream leaves open: function
 * names in capitals, every operator in parentheses of its own, fields by id, and every text through one escaper.
 */

type FormulaFunction =
  'AND' | 'OR' | 'NOT' | 'IF' | 'ISERROR' | 'FIND' | 'LOWER' | 'IS_BEFORE' | 'DATETIME_PARSE' | 'TRUE';

type Operator = '=' | '<' | '<=' | '>' | '>=' | '&';

export type Expression =
  | { kind: 'constant'; value: boolean }
  | { kind: 'text'; text: string }
  | { kind: 'number'; number: number }
  | { kind: 'field'; fieldId: string }
  | { kind: 'records'; ids: readonly string[] }
  | { kind: 'call'; name: FormulaFunction; args: readonly Expression[] }
  | { kind: 'infix'; operator: Operator; left: Expression; right: Expression }
  /** A whole formula that somebody wrote by hand; its parentheses have to be balanced. */
  | { kind: 'written'; formula: string };

export const always: Expression = { kind: 'constant', value: true };
export const never: Expression = { kind: 'constant', value: false };

export function text(value: string): Expression {
  return { kind: 'text', text: value };
}

export function number(value: number): Expression {
  return { kind: 'number', number: value };
}

export function call(name: FormulaFunction, ...args: Expression[]): Expression {
  return { kind: 'call', name, args };
}

export function infix(left: Expression, operator: Operator, right: Expression): Expression {
  return { kind: 'infix', operator, left, right };
}

/** True for exactly these records, and so for none when there are no ids. */
export function oneOfRecords(ids: readonly string[]): Expression {
  return ids.length === 0 ? never : { kind: 'records', ids };
}

/** What is decided without looking at a record is left out, so that it costs neither length nor a call. */
export function allOf(parts: readonly Expression[]): Expression {
  return joined('AND', parts, always, never);
}

export function anyOf(parts: readonly Expression[]): Expression {
  return joined('OR', parts, never, always);
}

export function negated(part: Expression): Expression {
  if (part.kind === 'constant') return part.value ? never : always;
  return call('NOT', part);
}

function joined(
  name: 'AND' | 'OR',
  parts: readonly Expression[],
  neutral: Expression,
  deciding: Expression,
): Expression {
  const isConstant = (part: Expression, constant: Expression) =>
    part.kind === 'constant' && constant.kind === 'constant' && part.value === constant.value;
  if (parts.some((part) => isConstant(part, deciding))) return deciding;
  const open = parts.filter((part) => !isConstant(part, neutral));
  if (open.length === 0) return neutral;
  return open.length === 1 ? open[0]! : call(name, ...open);
}

/**
 * The text of a formula.
 * @throws AppError FILTER_NOT_EXACT for a text that a literal can't carry
 */
export function printFormula(expression: Expression): string {
  switch (expression.kind) {
    case 'constant':
      return expression.value ? '1' : '0';
    case 'text':
      return stringLiteral(expression.text);
    case 'number':
      return numberLiteral(expression.number);
    case 'field':
      return fieldReference(expression.fieldId);
    case 'records':
      return recordIdsFormula(expression.ids);
    case 'call':
      return `${expression.name}(${expression.args.map(printFormula).join(',')})`;
    case 'infix':
      return `(${printFormula(expression.left)}${expression.operator}${printFormula(expression.right)})`;
    case 'written':
      return `(${expression.formula})`;
  }
}
