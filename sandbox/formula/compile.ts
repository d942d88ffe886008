import { compare, equals } from './comparison.ts';
import { boundedText, toNumber, toText } from './conversion.ts';
import { FUNCTIONS } from './functions/library.ts';
import type { Expression, Operator } from './syntax.ts';
import { FormulaFailure, type FormulaRecord, type FormulaValue } from './value.ts';

export type Run = (record: FormulaRecord) => FormulaValue;

type Apply = (left: FormulaValue, right: FormulaValue, record: FormulaRecord) => FormulaValue;

/** Turns the tree into closures once, so that running it on a record allocates nothing but values. */
export function compile(expression: Expression): Run {
  switch (expression.kind) {
    case 'literal': {
      const { value } = expression;
      return () => value;
    }
    case 'field': {
      const { name } = expression;
      return (record) => record.field(name);
    }
    case 'negate':
      return negation(compile(expression.operand));
    case 'chain':
      return chain(expression);
    case 'call':
      return call(expression.name, expression.args);
  }
}

function negation(operand: Run): Run {
  return (record) => {
    const number = toNumber(operand(record));
    return typeof number === 'number' ? -number : number;
  };
}

function chain({ first, rest }: Extract<Expression, { kind: 'chain' }>): Run {
  const start = compile(first);
  const steps = rest.map(({ operator, operand }) => ({
    apply: OPERATORS[operator],
    operand: compile(operand),
  }));
  return (record) => {
    let left = start(record);
    for (const { apply, operand } of steps) {
      const right = operand(record);
      if (left instanceof FormulaFailure) return left;
      if (right instanceof FormulaFailure) return right;
      left = apply(left, right, record);
    }
    return left;
  };
}

function call(name: string, args: readonly Expression[]): Run {
  const known = FUNCTIONS.get(name);
  if (!known) throw new Error(`The parser let the unknown function ${name} through`);
  const compiled = args.map(compile);
  if (known.kind === 'lazy') {
    const { run } = known;
    if (known.namesFields) {
      const names = args.flatMap((arg) => (arg.kind === 'field' ? [arg.name] : []));
      return (record) => run(compiled, record, names);
    }
    return (record) => run(compiled, record, []);
  }
  const { run } = known;
  return (record) => {
    const values: FormulaValue[] = [];
    for (const arg of compiled) {
      const value = arg(record);
      if (value instanceof FormulaFailure) return value;
      values.push(value);
    }
    return run(values, record);
  };
}

function arithmetic(combine: (left: number, right: number) => number): Apply {
  return (left, right) => {
    const a = toNumber(left);
    if (typeof a !== 'number') return a;
    const b = toNumber(right);
    return typeof b === 'number' ? combine(a, b) : b;
  };
}

/** `accepts` gets a negative number, 0 or a positive one; without an order between the two the answer is no. */
function ordering(accepts: (order: number) => boolean): Apply {
  return (left, right, { readings }) => {
    const order = compare(left, right, readings);
    return order !== undefined && accepts(order) ? 1 : 0;
  };
}

const OPERATORS: Readonly<Record<Operator, Apply>> = {
  '+': arithmetic((a, b) => a + b),
  '-': arithmetic((a, b) => a - b),
  '*': arithmetic((a, b) => a * b),
  '/': arithmetic((a, b) => a / b),
  '&': (left, right) => boundedText(toText(left) + toText(right)),
  '=': (left, right, { readings }) => (equals(left, right, readings) ? 1 : 0),
  '!=': (left, right, { readings }) => (equals(left, right, readings) ? 0 : 1),
  '<': ordering((order) => order < 0),
  '>': ordering((order) => order > 0),
  '<=': ordering((order) => order <= 0),
  '>=': ordering((order) => order >= 0),
};
