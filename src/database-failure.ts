import { AppError } from './errors.ts';

/** In the words of the system, of pg, of PostgreSQL, and of TypeORM, which takes a broken connection away from who uses it. */
const gone = new RegExp(
  [
    'ECONNREFUSED|ECONNRESET|EPIPE|ETIMEDOUT',
    'Connection terminated|connection error and is not queryable|timeout exceeded when trying to connect',
    'the database system is|57P0[123]',
    '[Qq]uery runner (was )?already released',
  ].join('|'),
);

/** By SQLSTATE, or the class of it, what PostgreSQL refuses for reasons that have nothing to do with what was asked. */
const refusals: readonly (readonly [sqlState: string, message: string])[] = [
  [
    '53100',
    'The disk of the database is full: nothing can be stored until it has room again. Tell whoever runs this server.',
  ],
  ['53', 'The database has no connection or memory left at the moment. Try again in a few seconds.'],
  ['25006', 'The database takes no writes at the moment. Try again in a few seconds.'],
  ['57014', 'The database took too long to answer. Try again in a few seconds.'],
];

/**
 * What to tell of an error that is the database's own, rather than one of what was asked; null for any other. The upstream's
 * failures are AppErrors, so a connection that breaks is one to the database.
 */
export function databaseFailureOf(error: unknown): string | null {
  if (typeof error !== 'object' || error === null) return null;
  const { message, code, cause } = error as { message?: unknown; code?: unknown; cause?: unknown };
  if (gone.test(`${String(message)} ${String(code)}`))
    return 'The database can not be reached at the moment. Try again in a few seconds.';
  const refusal = refusals.find(([sqlState]) => typeof code === 'string' && code.startsWith(sqlState));
  return refusal?.[1] ?? databaseFailureOf(cause);
}

/** An AppError as it is, a failure of the database as one; null for what nobody has foreseen. */
export function codedErrorOf(error: unknown): AppError | null {
  if (error instanceof AppError) return error;
  const failure = databaseFailureOf(error);
  return failure === null ? null : new AppError('DATABASE_UNAVAILABLE', failure, { cause: error });
}
