import { AppError } from '../errors.ts';

/** Texts and field references as the upstream documents them, a backslash escaping what follows; then parentheses and commas. */
const parts = /"(?:\\[^]|[^\\"])*"|'(?:\\[^]|[^\\'])*'|\{(?:\\[^]|[^\\}])*\}|["'{}(),]/g;

/**
 * Whether a formula written by hand stays one argument when it is put between parentheses. The upstream judges the rest
 * of it.
 * @throws AppError FORMULA_INVALID for an open text, field or parenthesis, or a comma outside of all parentheses
 */
export function requireBalanced(formula: string): void {
  let depth = 0;
  for (const [part] of formula.matchAll(parts)) {
    if (part === '(') depth += 1;
    else if (part === ')') depth -= 1;
    else if (part === ',' ? depth === 0 : part.length === 1) throw unbalanced();
    if (depth < 0) throw unbalanced();
  }
  if (depth !== 0) throw unbalanced();
}

function unbalanced(): AppError {
  return new AppError(
    'FORMULA_INVALID',
    'The formula cannot be combined with "filter" or "search": a text, a field name or a parenthesis in it is not closed, or a comma stands outside of all parentheses. Correct it.',
    { details: { argument: 'formula' } },
  );
}
