import { AppError } from '../errors.ts';

/** The kinds of upstream ids that enter URLs and formulas, each with the word a person knows it by. */
const prefixes = {
  app: 'base',
  tbl: 'table',
  fld: 'field',
  viw: 'view',
  rec: 'record',
  ach: 'webhook',
} as const;

export type IdPrefix = keyof typeof prefixes;

/** The upstream's ids have 14 characters after the prefix; the length is not promised, so it is only bounded. */
const idPattern = /^(app|tbl|fld|viw|rec|ach)[0-9A-Za-z]{1,40}$/;

export function isUpstreamId(prefix: IdPrefix, text: unknown): text is string {
  return typeof text === 'string' && text.startsWith(prefix) && idPattern.test(text);
}

/**
 * The gate in front of every URL and formula: what passes can't carry a slash, a quote or a parameter.
 * @param argument what the caller gave it as, where that is known
 * @throws AppError INVALID_INPUT naming the kind of id.
 */
export function requireId(prefix: IdPrefix, text: string, argument?: string): string {
  if (isUpstreamId(prefix, text)) return text;
  throw new AppError(
    'INVALID_INPUT',
    `${JSON.stringify(String(text).slice(0, 60))} is not a ${prefixes[prefix]} id; those look like ${prefix}0123456789AbCd.`,
    argument === undefined ? {} : { details: { argument } },
  );
}
