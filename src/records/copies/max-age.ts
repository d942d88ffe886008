import { parse } from 'iso8601-duration';
import { AppError } from '../../errors.ts';

/** The oldest copy that can be asked for, in days. */
export const maxAgeDays = 30;

const dayMs = 86_400_000;

/**
 * How old a copy may be, in milliseconds; null for whoever wants none.
 * @param maxAge ISO 8601, such as `PT1M`
 * @throws AppError INVALID_INPUT for what is no length of fixed duration, or longer than `maxAgeDays`
 */
export function readMaxAge(maxAge: string | null | undefined): number | null {
  if (maxAge == null) return null;
  const { years = 0, months = 0, weeks = 0, days = 0, hours = 0, minutes = 0, seconds = 0 } = read(maxAge);
  if (years > 0 || months > 0)
    throw invalid('must not name years or months, since these differ in length; P30D are 30 days');
  const ms = (weeks * 7 + days) * dayMs + ((hours * 60 + minutes) * 60 + seconds) * 1_000;
  if (ms > maxAgeDays * dayMs) throw invalid(`may be at most P${maxAgeDays}D`);
  return Math.floor(ms);
}

function read(maxAge: string): ReturnType<typeof parse> {
  const rule = 'must be a length of time such as PT1M or PT30S, without a sign';
  if (/[-+]/.test(maxAge)) throw invalid(rule);
  try {
    return parse(maxAge);
  } catch {
    throw invalid(rule);
  }
}

function invalid(rule: string): AppError {
  return new AppError('INVALID_INPUT', `"maxAge" ${rule}.`, { details: { argument: 'maxAge' } });
}
