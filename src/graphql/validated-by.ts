import type { z } from 'zod';

/**
 * Lets a zod schema check an argument whose GraphQL type is wider on purpose: what zod requires is nullable in the
 * SDL, so that the product's own message answers instead of GraphQL's.
 */
export function validatedBy(schema: z.ZodType): { schema: z.ZodType<never> } {
  return { schema: schema as z.ZodType<never> };
}
