import { boundedText, toText } from '../conversion.ts';
import { FormulaFailure, type FormulaRecord, type FormulaValue } from '../value.ts';
import { strict, type FormulaFunction } from './signature.ts';

/** Characters in a pattern. */
const MAX_PATTERN_LENGTH = 1_000;
/** Characters searched: JavaScript's engine backtracks, so the subject is kept short. */
const MAX_SUBJECT_LENGTH = 20_000;
/** Compiled patterns kept; a filter has a handful. */
const MAX_CACHED_PATTERNS = 100;

/** What RE2 lacks: lookaround and backreferences. */
const BEYOND_RE2 = /\(\?<?[=!]|\\[1-9]|\\k</;

export const REGEX_FUNCTIONS: Readonly<Record<string, FormulaFunction>> = {
  REGEX_MATCH: strict(2, 2, (args, record) =>
    withPattern(args, record, (subject, pattern) => (subject.search(pattern) >= 0 ? 1 : 0)),
  ),
  REGEX_EXTRACT: strict(2, 2, (args, record) =>
    withPattern(args, record, (subject, pattern) => {
      pattern.lastIndex = 0;
      const match = pattern.exec(subject);
      return match ? (match[1] ?? match[0]) : new FormulaFailure('no match');
    }),
  ),
  REGEX_REPLACE: strict(3, 3, (args, record) =>
    withPattern(args, record, (subject, pattern) =>
      boundedText(subject.replace(pattern, toText(args[2] ?? null))),
    ),
  ),
};

function withPattern(
  args: readonly FormulaValue[],
  record: FormulaRecord,
  apply: (subject: string, pattern: RegExp) => FormulaValue,
): FormulaValue {
  const subject = toText(args[0] ?? null);
  const pattern = compiled(toText(args[1] ?? null), record.readings.regexIsRe2);
  if (pattern instanceof FormulaFailure) return pattern;
  if (subject.length > MAX_SUBJECT_LENGTH) return new FormulaFailure('text too long');
  return apply(subject, pattern);
}

const cache = new Map<string, RegExp | FormulaFailure>();

function compiled(source: string, isRe2: boolean): RegExp | FormulaFailure {
  const key = `${isRe2 ? 'r' : 'j'}${source}`;
  let pattern = cache.get(key);
  if (!pattern) {
    pattern = compilePattern(source, isRe2);
    if (cache.size >= MAX_CACHED_PATTERNS) cache.clear();
    cache.set(key, pattern);
  }
  return pattern;
}

/** RE2's leading flags, `(?i)` and the like, become JavaScript's. */
function compilePattern(source: string, isRe2: boolean): RegExp | FormulaFailure {
  if (source.length > MAX_PATTERN_LENGTH) return new FormulaFailure('pattern too long');
  if (isRe2 && BEYOND_RE2.test(source)) return new FormulaFailure('pattern not supported');
  const flags = /^\(\?([ims]+)\)/.exec(source);
  try {
    return new RegExp(
      flags ? source.slice(flags[0].length) : source,
      `gu${[...new Set(flags?.[1])].join('')}`,
    );
  } catch {
    return new FormulaFailure('bad pattern');
  }
}
