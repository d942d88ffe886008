import { GraphQLError } from 'graphql';
import { databaseFailureOf } from '../database-failure.ts';
import { AppError, errorCodes } from '../errors.ts';
import type { Logger } from '../logger.ts';

/**
 * What a caller sees of an error: the code and message of an AppError; what GraphQL itself says of a document; and of
 * anything else only that it happened.
 */
export function maskError(error: unknown, logger: Logger): GraphQLError {
  const wrapper = error instanceof GraphQLError ? error : null;
  const original = originalOf(error);
  if (original instanceof AppError) {
    return graphQLError(
      original.message,
      wrapper,
      { code: original.code, ...original.details },
      { status: original.httpStatus, headers: original.httpHeaders },
    );
  }
  if (original instanceof GraphQLError) {
    // A parser's words about a malformed body quote from it, and it may hold a secret.
    const { http: given, code, originalError, ...rest } = original.extensions as Record<string, unknown>;
    const http = originalError ? { status: 400 } : given;
    return graphQLError(describe(original, wrapper), original.nodes ? original : wrapper, {
      code: typeof code === 'string' && code in errorCodes ? code : codeOf(wrapper ?? original),
      ...rest,
      ...(http ? { http } : {}),
    });
  }
  const databaseFailure = databaseFailureOf(original);
  if (databaseFailure) {
    logger.error({ err: original }, 'the database failed');
    return graphQLError(databaseFailure, wrapper, { code: 'DATABASE_UNAVAILABLE' }, { status: 503 });
  }
  if (isAbort(original)) logger.debug({ path: wrapper?.path }, 'whoever asked has left');
  else logger.error({ err: original, path: wrapper?.path }, 'unexpected error');
  return graphQLError(
    'Something went wrong on our side. The request id identifies it in the logs.',
    wrapper,
    { code: 'INTERNAL' },
    { status: 500 },
  );
}

/** The code that a caller sees of an error, without the rest. */
export function errorCodeOf(error: unknown): string {
  const original = originalOf(error);
  if (original instanceof AppError) return original.code;
  if (original instanceof GraphQLError) {
    const { code } = original.extensions;
    return typeof code === 'string' && code in errorCodes ? code : codeOf(original);
  }
  return databaseFailureOf(original) ? 'DATABASE_UNAVAILABLE' : 'INTERNAL';
}

/** An error of a single field as the caller sees it: masked, with the request id under which it is in the logs. */
export function shownError(
  error: unknown,
  { app: { logger }, requestId }: { app: { logger: Logger }; requestId: string },
): GraphQLError {
  const shown = maskError(error, logger);
  // Compiled queries tell where in the document it was, but not by its nodes.
  if (error instanceof GraphQLError && error.locations && !shown.locations)
    Object.defineProperty(shown, 'locations', { value: error.locations, enumerable: true });
  Object.assign(shown.extensions, { requestId });
  // Only for an answer's HTTP status.
  delete shown.extensions['http'];
  return shown;
}

/** The reason that an AbortController gives by itself, as when a request's connection is gone: nobody reads the answer. */
function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === 'AbortError';
}

/** GraphQL wraps what resolvers throw, sometimes more than once. */
function originalOf(error: unknown): unknown {
  let original = error;
  while (original instanceof GraphQLError && original.originalError) original = original.originalError;
  return original;
}

/**
 * What GraphQL says of a document or of variables, without the values: a client secret may be among them. Of a
 * variable it says where in it the fault is.
 */
function describe(error: GraphQLError, wrapper: GraphQLError | null): string {
  const message = error.message.replace(/(cannot represent .*? value): [\s\S]*$/, '$1.');
  const place = wrapper?.message.slice(0, -`; ${error.message}`.length) ?? '';
  const [, variable] = /^Variable "(\$\w+)" got invalid value /.exec(place) ?? [];
  if (variable === undefined) return message;
  const [, path = variable] = / at "([\w.[\]]+)"$/.exec(place) ?? [];
  return `Variable "${variable}" is invalid at "${path}": ${message}`;
}

/** Errors of GraphQL itself carry no code: those with a path stem from executing, those without from the document. */
function codeOf(error: GraphQLError): string {
  if (error.message.startsWith('Syntax Error')) return 'GRAPHQL_PARSE_FAILED';
  return error.path ? 'INTERNAL' : 'GRAPHQL_VALIDATION_FAILED';
}

function graphQLError(
  message: string,
  wrapper: GraphQLError | null,
  extensions: Record<string, unknown>,
  http?: { status: number; headers?: Record<string, string> },
): GraphQLError {
  return new GraphQLError(message, {
    nodes: wrapper?.nodes ?? null,
    source: wrapper?.source ?? null,
    positions: wrapper?.positions ?? null,
    path: wrapper?.path ?? null,
    // Errors of single fields leave the answer's status alone; it is only used where nothing was executed.
    extensions: wrapper?.path || !http ? extensions : { ...extensions, http },
  });
}
