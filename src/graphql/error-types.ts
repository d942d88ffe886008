import { AppError, type ErrorCode } from '../errors.ts';
import { builder } from './builder.ts';
import { InvalidInput, type InputFault } from './invalid-input.ts';

/** Errors that a client should branch on are members of a mutation's result; all others are in `errors`. */
export const ErrorRef = builder.interfaceRef<AppError>('Error').implement({
  description: 'A failure that a client is expected to handle, as part of a result.',
  fields: (t) => ({
    code: t.string({
      description: 'Which failure, from the documented list of codes.',
      resolve: (error) => error.code,
    }),
    message: t.exposeString('message', {
      description: 'What failed, for what, and what to do next. May be shown to people.',
    }),
  }),
});

const InputFaultRef = builder.objectRef<InputFault>('InputFault').implement({
  description: 'One fault of an input.',
  fields: (t) => ({
    path: t.exposeStringList('path', {
      description: 'Where in the input, from the outside in; empty for the input as a whole.',
    }),
    message: t.exposeString('message', {
      description: 'What is wrong there. May be shown beside the form field.',
    }),
  }),
});

builder.objectType(InvalidInput, {
  name: 'InvalidInputError',
  description: 'The input was refused; nothing was done.',
  interfaces: [ErrorRef],
  fields: (t) => ({
    faults: t.field({
      type: [InputFaultRef],
      description: 'All faults at once.',
      resolve: (error) => error.faults,
    }),
  }),
});

/**
 * Makes a class for errors with one code, so that a union can tell them apart by type. The object type is named after
 * the class.
 */
export class NameTaken extends AppError {}
export class ConnectionNotFound extends AppError {}
export class ConnectionNotConnected extends AppError {}
export class ConnectionManaged extends AppError {}
export class ApiKeyNotFound extends AppError {}
export class ApiKeyConfigured extends AppError {}
export class IdempotencyKeyReused extends AppError {}
export class TriggerNotFound extends AppError {}
export class SyncNotFound extends AppError {}
export class TargetNotFound extends AppError {}
export class TargetUnfit extends AppError {}

const members: [new (code: ErrorCode, message: string) => AppError, string, string][] = [
  [NameTaken, 'NameTakenError', 'Another connection has this name already.'],
  [ConnectionNotFound, 'ConnectionNotFoundError', 'There is no such connection, or your key may not see it.'],
  [
    ConnectionNotConnected,
    'ConnectionNotConnectedError',
    'The connection has no living grant at the moment.',
  ],
  [
    ConnectionManaged,
    'ConnectionManagedError',
    'The connection is managed by the connections file of the server; the message says what to do there.',
  ],
  [ApiKeyNotFound, 'ApiKeyNotFoundError', 'There is no such API key, or it reaches further than yours.'],
  [
    ApiKeyConfigured,
    'ApiKeyConfiguredError',
    'It is the configured admin key; the message says how to change it.',
  ],
  [
    IdempotencyKeyReused,
    'IdempotencyKeyReusedError',
    'The idempotency key was used for a write with other input within the last day.',
  ],
  [TriggerNotFound, 'TriggerNotFoundError', 'There is no such trigger, or your key may not see it.'],
  [SyncNotFound, 'SyncNotFoundError', 'There is no such sync, or your key may not see it.'],
  [TargetNotFound, 'TargetNotFoundError', 'The database of the server has no such table.'],
  [
    TargetUnfit,
    'TargetUnfitError',
    'The table can not be the target of the sync; the message names the column, and says why.',
  ],
];

for (const [errorClass, name, description] of members) {
  builder.objectType(errorClass, { name, description, interfaces: [ErrorRef], fields: () => ({}) });
}

const memberByCode: Partial<
  Record<
    ErrorCode,
    new (code: ErrorCode, message: string, options: { details: AppError['details'] }) => AppError
  >
> = {
  NAME_TAKEN: NameTaken,
  CONNECTION_NOT_FOUND: ConnectionNotFound,
  CONNECTION_NOT_CONNECTED: ConnectionNotConnected,
  CONNECTION_MANAGED: ConnectionManaged,
  API_KEY_NOT_FOUND: ApiKeyNotFound,
  API_KEY_CONFIGURED: ApiKeyConfigured,
  IDEMPOTENCY_KEY_REUSED: IdempotencyKeyReused,
  TRIGGER_NOT_FOUND: TriggerNotFound,
  SYNC_NOT_FOUND: SyncNotFound,
  TARGET_NOT_FOUND: TargetNotFound,
  TARGET_UNFIT: TargetUnfit,
};

/** Runs a mutation so that failures with a type of their own become members of its result. */
export async function withTypedErrors<T>(run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    if (error instanceof AppError && error.code === 'INVALID_INPUT' && !(error instanceof InvalidInput)) {
      const { argument } = error.details;
      throw new InvalidInput([
        { path: typeof argument === 'string' ? [argument] : [], message: error.message },
      ]);
    }
    const member = error instanceof AppError ? memberByCode[error.code] : undefined;
    throw member && error instanceof AppError
      ? new member(error.code, error.message, { details: error.details })
      : error;
  }
}

/** The `errors` option of a mutation that works on a connection. */
export const connectionErrors = [InvalidInput, ConnectionNotFound, ConnectionNotConnected];

/** The same of a mutation that takes an idempotency key. */
export const keyedErrors = [...connectionErrors, IdempotencyKeyReused];
