/** The tree of a formula. Chains of equal precedence stay flat, so that a long one does not nest. */
export type Expression =
  | { kind: 'literal'; value: string | number }
  | { kind: 'field'; name: string }
  | { kind: 'negate'; operand: Expression }
  | { kind: 'chain'; first: Expression; rest: { operator: Operator; operand: Expression }[] }
  /** `name` is a key of the function library. */
  | { kind: 'call'; name: string; args: Expression[] };

export type Operator = '+' | '-' | '*' | '/' | '&' | '=' | '!=' | '<' | '>' | '<=' | '>=';
