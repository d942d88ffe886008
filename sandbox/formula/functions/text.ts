import { boundedText, MAX_TEXT_LENGTH, numberSpelled, toNumber, toText } from '../conversion.ts';
import { FormulaFailure, type FormulaValue } from '../value.ts';
import { strict, type FormulaFunction } from './signature.ts';

type Args = readonly FormulaValue[];

/** Positions are 1-based. FIND answers 0 for "absent" where SEARCH answers blank. */
export const TEXT_FUNCTIONS: Readonly<Record<string, FormulaFunction>> = {
  FIND: strict(2, 3, (args) => withStart(args, (what, where, from) => where.indexOf(what, from) + 1)),
  SEARCH: strict(2, 3, (args) =>
    withStart(args, (what, where, from) => {
      const position = where.toLowerCase().indexOf(what.toLowerCase(), from) + 1;
      return position === 0 ? null : position;
    }),
  ),
  LOWER: strict(1, 1, ([value]) => text(value).toLowerCase()),
  UPPER: strict(1, 1, ([value]) => text(value).toUpperCase()),
  TRIM: strict(1, 1, ([value]) => text(value).trim()),
  LEN: strict(1, 1, ([value]) => text(value).length),
  LEFT: strict(1, 2, (args) => withCount(args, 1, (subject, count) => subject.slice(0, count))),
  RIGHT: strict(1, 2, (args) =>
    withCount(args, 1, (subject, count) => (count === 0 ? '' : subject.slice(-count))),
  ),
  MID: strict(3, 3, (args) =>
    withCount(args, 1, (subject, start) =>
      withCount(args, 2, (_, count) => subject.slice(Math.max(start - 1, 0), Math.max(start - 1, 0) + count)),
    ),
  ),
  CONCATENATE: strict(1, Infinity, (args) => boundedText(args.map(toText).join(''))),
  SUBSTITUTE: strict(3, 4, substitute),
  REPLACE: strict(4, 4, (args) =>
    withCount(args, 1, (subject, start) =>
      withCount(args, 2, (_, count) => {
        const from = Math.max(start - 1, 0);
        return boundedText(subject.slice(0, from) + text(args[3]) + subject.slice(from + count));
      }),
    ),
  ),
  REPT: strict(2, 2, (args) =>
    withCount(args, 1, (subject, count) =>
      subject.length * count > MAX_TEXT_LENGTH ? new FormulaFailure('text too long') : subject.repeat(count),
    ),
  ),
  T: strict(1, 1, ([value]) => (typeof value === 'string' ? value : null)),
  VALUE: strict(1, 1, ([value]) => {
    if (typeof value === 'number') return value;
    return numberSpelled(text(value).replace(/[^-\d.]/g, '')) ?? new FormulaFailure('not a number');
  }),
  ENCODE_URL_COMPONENT: strict(1, 1, ([value]) => encoded(text(value))),
};

function text(value: FormulaValue | undefined): string {
  return toText(value ?? null);
}

function withStart(
  [what, where, start]: Args,
  search: (what: string, where: string, from: number) => FormulaValue,
): FormulaValue {
  const from = toNumber(start ?? null);
  if (typeof from !== 'number') return from;
  return search(text(what), text(where), Math.max(Math.trunc(from) - 1, 0));
}

/** Reads the argument at `index` as a whole number of characters; absent it is 1, negative it is a failure. */
function withCount(
  args: Args,
  index: number,
  cut: (subject: string, count: number) => FormulaValue,
): FormulaValue {
  const count = index < args.length ? toNumber(args[index] ?? null) : 1;
  if (typeof count !== 'number') return count;
  if (!Number.isFinite(count) || count < 0) return new FormulaFailure('not a count');
  return cut(text(args[0]), Math.trunc(count));
}

/** With an index only that occurrence (1-based) is replaced. */
function substitute(args: Args): FormulaValue {
  const [subject, old, replacement] = [text(args[0]), text(args[1]), text(args[2])];
  if (old === '') return subject;
  const parts = subject.split(old);
  if (args.length < 4) {
    const length = subject.length + (parts.length - 1) * (replacement.length - old.length);
    return length > MAX_TEXT_LENGTH ? new FormulaFailure('text too long') : parts.join(replacement);
  }
  return withCount(args, 3, (_, index) =>
    index < 1 || index >= parts.length
      ? subject
      : boundedText(parts.slice(0, index).join(old) + replacement + parts.slice(index).join(old)),
  );
}

/** A lone surrogate cannot be encoded. */
function encoded(subject: string): FormulaValue {
  try {
    return encodeURIComponent(subject);
  } catch {
    return new FormulaFailure('not encodable');
  }
}
