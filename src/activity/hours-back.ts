import { parse, type Duration } from 'iso8601-duration';
import { AppError } from '../errors.ts';
import { hourMs, minuteMs } from './activity-kind.ts';

/** The longest time that can be looked back on: as long as hours are kept. */
const maxHours = 2_160;

/**
 * How many hours a length of time touches, the present one among them.
 * @param last ISO 8601, such as `PT24H`
 * @throws AppError INVALID_INPUT for what is no length of fixed duration; TOO_MANY beyond 90 days
 */
export function hoursBack(last: string): number {
  const { years = 0, months = 0, weeks = 0, days = 0, hours = 0, minutes = 0, seconds = 0 } = read(last);
  if (years > 0 || months > 0)
    throw invalid('must not name years or months, since these differ in length; P30D are 30 days');
  const ms = ((weeks * 7 + days) * 24 + hours) * hourMs + minutes * minuteMs + seconds * 1_000;
  if (!(ms > 0)) throw invalid('must be longer than nothing, such as PT24H');
  const count = Math.ceil(ms / hourMs);
  if (count > maxHours) {
    throw new AppError(
      'TOO_MANY',
      `"last" may be at most P90D, which are ${maxHours} hours: older hours are not kept.`,
      { details: { argument: 'last', max: maxHours, given: count } },
    );
  }
  return count;
}

function read(last: string): Duration {
  const rule = 'must be a length of time such as PT24H or P7D, without a sign';
  if (/[-+]/.test(last)) throw invalid(rule);
  try {
    return parse(last);
  } catch {
    throw invalid(rule);
  }
}

function invalid(rule: string): AppError {
  return new AppError('INVALID_INPUT', `"last" ${rule}.`, { details: { argument: 'last' } });
}
