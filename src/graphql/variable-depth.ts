import { AppError } from '../errors.ts';
import { documentLimits } from './document-limits.ts';

/**
 * Keeps hostile nesting from the functions that coerce variables, which call themselves for each level.
 * @throws AppError INVALID_INPUT beyond the limit
 */
export function requireShallowVariables(variables: unknown): void {
  let level: object[] = typeof variables === 'object' && variables !== null ? [variables] : [];
  for (let depth = 0; level.length > 0; depth += 1) {
    if (depth > documentLimits.valueDepth) {
      throw new AppError(
        'INVALID_INPUT',
        `The variables are nested deeper than ${documentLimits.valueDepth} levels. Flatten them.`,
        { details: { max: documentLimits.valueDepth } },
      );
    }
    const below: object[] = [];
    for (const value of level)
      for (const inner of Object.values(value) as unknown[])
        if (typeof inner === 'object' && inner !== null) below.push(inner);
    level = below;
  }
}
