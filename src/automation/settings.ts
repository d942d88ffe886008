import { z } from 'zod';
import { isObject } from '../calendly/cell-values.ts';
import { isUpstreamId, type IdPrefix } from '../calendly/ids.ts';
import { maxListLength } from '../graphql/list-slice.ts';
import { suggestion } from '../nearest-name.ts';
import { filterJson } from '../records/filters/filter-json.ts';
import { maxSortFields } from '../records/record-page.ts';

/*
 * The settings that actions are made of. Messages begin with a verb; where a setting stands is put before it.
 */

/** An object that says which of its keys is not known, each at its own place. */
export function settings<Shape extends z.ZodRawShape>(shape: Shape): z.ZodObject<Shape> {
  const names = Object.keys(shape);
  const unknown = z.custom<never>(() => false, {
    error: ({ path }) => `is not known.${suggestion(String(path?.at(-1)), names)}`,
  });
  return z.object(shape).catchall(unknown);
}

/** What zod says of a value whose type or range is wrong. */
export function inWords(issue: z.core.$ZodRawIssue): string | undefined {
  switch (issue.code) {
    case 'invalid_type':
      return issue.input === undefined
        ? 'is missing'
        : `must be ${typeNames[issue.expected] ?? issue.expected}, not ${nameOf(issue.input)}`;
    case 'too_small':
      return issue.origin === 'string' || issue.origin === 'array'
        ? 'must not be empty'
        : `must be at least ${issue.minimum}`;
    case 'too_big':
      return issue.origin === 'string' || issue.origin === 'array'
        ? `must not have more than ${issue.maximum} ${issue.origin === 'string' ? 'characters' : 'entries'}`
        : `must be at most ${issue.maximum}`;
    case 'invalid_value':
      return `must be one of ${issue.values.map((value) => JSON.stringify(value)).join(', ')}`;
    default:
      return undefined;
  }
}

const typeNames: Readonly<Record<string, string>> = {
  string: 'a text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'an object',
};

function nameOf(input: unknown): string {
  if (input === null) return 'null';
  if (Array.isArray(input)) return 'a list';
  if (typeof input === 'number') return Number.isInteger(input) ? 'a number' : 'a fraction';
  return typeNames[typeof input] ?? typeof input;
}

function idOf(prefix: IdPrefix, kind: string) {
  return z
    .string()
    .refine(
      (text) => isUpstreamId(prefix, text),
      `must be the id of a ${kind}, such as ${prefix}0123456789AbCd`,
    );
}

/** Longest name of a table, field or view, in characters. */
const maxNameCharacters = 1_000;
/** Longest cursor, in characters; ours are shorter. */
const maxCursorCharacters = 4_000;

const name = z.string().min(1).max(maxNameCharacters);

export const baseId = idOf('app', 'base');
export const recordId = idOf('rec', 'record');
/** By id or exact name. */
export const tableId = name;
/** Which cells to read, by id or exact name; all by default. */
export const fieldNames = z.array(name).min(1).max(maxListLength).nullish();
export const typecast = z.boolean().nullish();
export const first = z.int().min(1).max(maxListLength).nullish();
export const after = z.string().max(maxCursorCharacters).nullish();
export const view = name.nullish();
export const formula = z.string().nullish();
export const search = z.string().nullish();
/** Cells to write. They are checked against the table. */
export const cells = z.custom<Record<string, unknown>>(isObject, {
  error: ({ input }) =>
    input === undefined ? 'is missing' : 'must be an object of cells by id or exact name of the field',
});
export const filter = filterJson(settings).nullish();
export const sort = z
  .array(
    settings({
      field: name,
      direction: z
        .enum(['ASC', 'DESC', 'asc', 'desc'])
        .nullish()
        .transform((direction) =>
          direction?.toLowerCase() === 'desc' ? ('desc' as const) : ('asc' as const),
        ),
    }),
  )
  .max(maxSortFields)
  .nullish();
