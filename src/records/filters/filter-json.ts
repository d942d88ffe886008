import { z } from 'zod';
import type { RecordFilter } from './filter.ts';

const text = z.string().nullish();
const texts = z.array(z.string()).nullish();
const value = z.union([z.string(), z.number(), z.boolean()], {
  error: 'must be a text, a number, true or false',
});
const values = z.array(value).nullish();

/**
 * A filter as JSON: what the input type `RecordFilter` is to GraphQL. It sees to types and unknown keys; `readFilter` to
 * the rest.
 * @param objectOf makes a schema of an object that says in its own words which keys it does not know
 */
export function filterJson(
  objectOf: <Shape extends z.ZodRawShape>(shape: Shape) => z.ZodType<z.infer<z.ZodObject<Shape>>>,
): z.ZodType<RecordFilter> {
  const filter: z.ZodType<RecordFilter> = z.lazy(() => whole);
  const filters = z.array(filter).nullish();
  const whole = objectOf({
    and: filters,
    or: filters,
    not: filter.nullish(),
    field: text,
    eq: value.nullish(),
    ne: value.nullish(),
    gt: value.nullish(),
    gte: value.nullish(),
    lt: value.nullish(),
    lte: value.nullish(),
    before: text,
    after: text,
    in: values,
    notIn: values,
    contains: text,
    startsWith: text,
    isEmpty: z.boolean().nullish(),
    hasAny: texts,
    hasAll: texts,
    hasNone: texts,
    hasRecord: text,
    hasAnyRecord: texts,
    ignoreCase: z.boolean().nullish(),
    timeZone: text,
  } satisfies Record<keyof RecordFilter, z.ZodType>);
  return filter;
}
