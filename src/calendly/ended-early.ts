import { AppError } from '../errors.ts';

export function shuttingDown(): AppError {
  return new AppError('SHUTTING_DOWN', 'The server is shutting down. Send the request again.');
}

export function deadlineExceeded(): AppError {
  return new AppError(
    'DEADLINE_EXCEEDED',
    'The deadline passed before the upstream could answer. Ask for less, or allow more time.',
  );
}

export function abortReason(signal: AbortSignal | undefined): Error {
  return signal?.reason instanceof Error
    ? signal.reason
    : new AppError('DEADLINE_EXCEEDED', 'The operation was aborted.');
}
