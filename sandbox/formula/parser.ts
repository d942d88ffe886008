import { FormulaError } from './formula-error.ts';
import { FUNCTIONS } from './functions/library.ts';
import type { FormulaReadings } from './readings.ts';
import type { Expression, Operator } from './syntax.ts';
import { tokenize, type Token } from './tokens.ts';

/** Characters. A thousand `RECORD_ID()='rec…'` terms take a third of it. */
export const MAX_FORMULA_LENGTH = 100_000;
/** Levels of parentheses, calls and signs within one another. */
export const MAX_FORMULA_DEPTH = 128;

const COMPARISONS = ['=', '!=', '<', '>', '<=', '>='] as const;
const ADDITIONS = ['+', '-'] as const;
const MULTIPLICATIONS = ['*', '/'] as const;
const JOINS = ['&'] as const;

export interface Syntax {
  root: Expression;
  fieldReferences: string[];
}

/** @throws FormulaError; unknown functions are reported all at once, and only if the syntax is sound */
export function parse(text: string, readings: FormulaReadings): Syntax {
  if (text.length > MAX_FORMULA_LENGTH) throw FormulaError.syntax();
  return new Parser(tokenize(text, readings), readings).parse();
}

/** Recursive descent over `comparison > join > addition > multiplication > sign > operand`, loosest first. */
class Parser {
  private readonly tokens: readonly Token[];
  private readonly readings: FormulaReadings;
  /** Operators of each level, loosest first. */
  private readonly levels: readonly (readonly Operator[])[];
  private readonly fields = new Set<string>();
  private readonly unknownFunctions = new Set<string>();
  private badArity = false;
  private at = 0;
  private depth = 0;

  constructor(tokens: readonly Token[], readings: FormulaReadings) {
    this.tokens = tokens;
    this.readings = readings;
    this.levels = readings.ampersandBindsTighter
      ? [COMPARISONS, ADDITIONS, JOINS, MULTIPLICATIONS]
      : [COMPARISONS, JOINS, ADDITIONS, MULTIPLICATIONS];
  }

  parse(): Syntax {
    const root = this.chain(0);
    if (this.peek().kind !== 'end') throw FormulaError.syntax();
    if (this.unknownFunctions.size > 0) throw FormulaError.unknownFunctions([...this.unknownFunctions]);
    if (this.badArity) throw FormulaError.syntax();
    return { root, fieldReferences: [...this.fields] };
  }

  private chain(level: number): Expression {
    const operators = this.levels[level];
    if (!operators) return this.signed();
    const first = this.chain(level + 1);
    const rest: { operator: Operator; operand: Expression }[] = [];
    for (let operator = this.takeOneOf(operators); operator; operator = this.takeOneOf(operators)) {
      rest.push({ operator, operand: this.chain(level + 1) });
    }
    return rest.length === 0 ? first : { kind: 'chain', first, rest };
  }

  private signed(): Expression {
    if (!this.take('-')) return this.operand();
    return this.nested(() => ({ kind: 'negate', operand: this.signed() }));
  }

  private operand(): Expression {
    const token = this.peek();
    this.at += 1;
    switch (token.kind) {
      case 'number':
      case 'string':
        return { kind: 'literal', value: token.value };
      case 'field':
        return this.field(token.name);
      case 'name':
        return this.take('(') ? this.nested(() => this.call(token.name)) : this.field(token.name);
      case 'symbol':
        if (token.symbol === '(') return this.nested(() => this.parenthesised());
        throw FormulaError.syntax();
      case 'end':
        throw FormulaError.syntax();
    }
  }

  private parenthesised(): Expression {
    const inner = this.chain(0);
    if (!this.take(')')) throw FormulaError.syntax();
    return inner;
  }

  private call(written: string): Expression {
    const args: Expression[] = [];
    if (!this.take(')')) {
      do args.push(this.chain(0));
      while (this.take(','));
      if (!this.take(')')) throw FormulaError.syntax();
    }
    const name = this.readings.functionNamesIgnoreCase ? written.toUpperCase() : written;
    const known = FUNCTIONS.get(name);
    if (!known) this.unknownFunctions.add(written);
    else if (args.length < known.minArgs || args.length > known.maxArgs) this.badArity = true;
    return { kind: 'call', name, args };
  }

  private field(name: string): Expression {
    this.fields.add(name);
    return { kind: 'field', name };
  }

  private nested(read: () => Expression): Expression {
    if (this.depth >= MAX_FORMULA_DEPTH) throw FormulaError.syntax();
    this.depth += 1;
    const expression = read();
    this.depth -= 1;
    return expression;
  }

  private peek(): Token {
    return this.tokens[this.at] ?? { kind: 'end' };
  }

  private take(symbol: string): boolean {
    const token = this.peek();
    if (token.kind !== 'symbol' || token.symbol !== symbol) return false;
    this.at += 1;
    return true;
  }

  private takeOneOf(operators: readonly Operator[]): Operator | undefined {
    const token = this.peek();
    if (token.kind !== 'symbol') return undefined;
    const operator = operators.find((candidate) => candidate === token.symbol);
    if (operator) this.at += 1;
    return operator;
  }
}
