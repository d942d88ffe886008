import { FormulaError } from './formula-error.ts';
import type { FormulaReadings } from './readings.ts';

export type Token =
  | { kind: 'number'; value: number }
  | { kind: 'string'; value: string }
  /** `{Field Name}` */
  | { kind: 'field'; name: string }
  /** a bare word: a function if `(` follows, else a field */
  | { kind: 'name'; name: string }
  | { kind: 'symbol'; symbol: string }
  | { kind: 'end' };

const BLANKS = /[\s\uFEFF]*/y;
const NUMBER = /\d+(?:\.\d+)?|\.\d+/y;
const NAME = /[\p{L}_][\p{L}\p{M}\p{N}_]*/uy;
const SYMBOL = /!=|<=|>=|[-+*/&=<>(),]/y;
const BRACED = /\{((?:\\[^]|[^\\}])*)\}/y;
const QUOTED = /"((?:\\[^]|[^\\"])*)"|'((?:\\[^]|[^\\'])*)'/y;

/**
 * Cuts formula text into tokens, the last of which is `end`. Typographic quotes, stray characters and open literals are
 * syntax errors.
 */
export function tokenize(text: string, readings: FormulaReadings): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  const take = (pattern: RegExp): RegExpExecArray | null => {
    pattern.lastIndex = at;
    const match = pattern.exec(text);
    if (match) at = pattern.lastIndex;
    return match;
  };
  for (take(BLANKS); at < text.length; take(BLANKS)) {
    tokens.push(nextToken(take, readings));
  }
  tokens.push({ kind: 'end' });
  return tokens;
}

function nextToken(take: (pattern: RegExp) => RegExpExecArray | null, readings: FormulaReadings): Token {
  const name = take(NAME);
  if (name) return { kind: 'name', name: name[0] };
  const symbol = take(SYMBOL);
  if (symbol) return { kind: 'symbol', symbol: symbol[0] };
  const number = take(NUMBER);
  if (number) return { kind: 'number', value: Number(number[0]) };
  const quoted = take(QUOTED);
  if (quoted) return { kind: 'string', value: unescapeString(quoted[1] ?? quoted[2] ?? '', readings) };
  const braced = take(BRACED);
  // In a name the backslash escapes only the closing brace; elsewhere it is a character of the name.
  if (braced?.[1]) return { kind: 'field', name: braced[1].replaceAll('\\}', '}') };
  throw FormulaError.syntax();
}

const CONTROL_ESCAPES: Readonly<Record<string, string>> = { n: '\n', t: '\t', r: '\r' };

function unescapeString(body: string, readings: FormulaReadings): string {
  if (!body.includes('\\')) return body;
  return body.replace(/\\([^])/g, (_, escaped: string) =>
    readings.controlEscapesInStrings ? (CONTROL_ESCAPES[escaped] ?? escaped) : escaped,
  );
}
