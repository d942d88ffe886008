import { AppError } from '../errors.ts';

/** Whether all places that a base has for webhooks may be taken: how the upstream says so is not documented. */
export function mayBeFull(error: unknown): boolean {
  return error instanceof AppError && (error.code === 'WEBHOOK_LIMIT' || error.code === 'UPSTREAM_REJECTED');
}

/** Whether the upstream will say the same again, rather than not having been reached. */
export function isRefused(error: unknown): error is AppError {
  return mayBeFull(error) || (error instanceof AppError && error.code === 'UPSTREAM_FORBIDDEN');
}

export function explained(error: unknown, connectionId: number, baseId: string): unknown {
  if (!(error instanceof AppError)) return error;
  if (error.code === 'UPSTREAM_FORBIDDEN') {
    return new AppError(
      'UPSTREAM_FORBIDDEN',
      `The upstream does not let connection ${connectionId} create a webhook on base ${baseId}. The account that granted access needs the creator role there, and the base must be among those granted.`,
      { details: { ...error.details, connectionId, baseId }, cause: error },
    );
  }
  if (error.code === 'WEBHOOK_LIMIT') {
    return new AppError(
      'WEBHOOK_LIMIT',
      `Base ${baseId} has as many webhooks as the upstream allows: 2 per OAuth integration, 10 in all. Delete one that is no longer used, or wait until it expires after seven days.`,
      { details: { ...error.details, connectionId, baseId }, cause: error },
    );
  }
  return error;
}
