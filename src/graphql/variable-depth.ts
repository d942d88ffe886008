import { AppError } from '../errors.ts';
import { documentLimits } from './document-limits.ts';

/**
 * Keeps hostile nesting from the functions that coerce variables, which call themselves for each level.
 * @throws AppError INVALID_INPUT beyond the limit
 */
export function requireShallowVariables(variables: unknown): void {
  let level: unknown[] = [variables];
  for (let depth = 0; level.length > 0; depth += 1) {
    if (depth > documentLimits.valueDepth) {
      throw new AppError(
        'INVALID_INPUT',
        `The variables are nested deeper than ${documentLimits.valueDepth} levels. Flatten them.`,
        { details: { max: documentLimits.valueDepth } },
      );
    }
    level = level
      .flatMap((value) =>
        typeof value === 'object' && value !== null ? (Object.values(value) as unknown[]) : [],
      )
      .filter((value) => typeof value === 'object' && value !== null);
  }
}
