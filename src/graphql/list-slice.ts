import { AppError } from '../errors.ts';

/** Longest list of ids, records or results that one field takes or gives. */
export const maxListLength = 1_000;
export const defaultPageLength = 50;

/**
 * The `first` of a list field.
 * @throws AppError TOO_MANY above the limit, INVALID_INPUT below 1
 */
export function pageLength(first: number | null | undefined, fallback = defaultPageLength): number {
  const length = first ?? fallback;
  if (length > maxListLength) throw tooMany('first', length);
  if (length < 1) {
    throw new AppError('INVALID_INPUT', `"first" must be 1 to ${maxListLength}, not ${length}.`, {
      details: { argument: 'first', max: maxListLength },
    });
  }
  return length;
}

/** @throws AppError TOO_MANY naming the limit */
export function requireListLength(argument: string, length: number): void {
  if (length > maxListLength) throw tooMany(argument, length);
}

/** What is told of a page that lists entries from the one behind `after` on. */
export function pageInfoOf<Entry>(
  entries: readonly Entry[],
  cursorOf: (entry: Entry) => string,
  { hasMore, after }: { hasMore: boolean; after: string | null },
): { hasNextPage: boolean; hasPreviousPage: boolean; startCursor: string | null; endCursor: string | null } {
  const [first, last] = [entries[0], entries.at(-1)];
  return {
    hasNextPage: hasMore,
    hasPreviousPage: after !== null,
    startCursor: first === undefined ? null : cursorOf(first),
    endCursor: last === undefined ? after : cursorOf(last),
  };
}

function tooMany(argument: string, count: number): AppError {
  return new AppError(
    'TOO_MANY',
    `"${argument}" may be at most ${maxListLength}, but is ${count}. Ask in several requests.`,
    { details: { argument, max: maxListLength, given: count } },
  );
}
