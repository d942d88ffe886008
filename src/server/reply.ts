import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { codedErrorOf } from '../database-failure.ts';
import { AppError } from '../errors.ts';
import type { Logger } from '../logger.ts';

export interface Reply {
  status: number;
  headers?: Record<string, string | string[]>;
  body?: string | Buffer;
}

/** A route outside GraphQL. What it throws becomes a JSON error. */
export type Route = (request: IncomingMessage, url: URL, requestId: string) => Promise<Reply> | Reply;

export function json(status: number, value: unknown): Reply {
  return {
    status,
    headers: { 'Content-Type': 'application/json; charset=utf-8' },
    body: JSON.stringify(value),
  };
}

export function html(status: number, body: string, headers: Record<string, string | string[]> = {}): Reply {
  return { status, headers: { 'Content-Type': 'text/html; charset=utf-8', ...headers }, body };
}

const baseHeaders = {
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  'X-Frame-Options': 'DENY',
};

export function send(response: ServerResponse, { status, headers, body }: Reply): void {
  if (response.headersSent || response.destroyed) return;
  response.writeHead(status, {
    ...baseHeaders,
    'Content-Length': body === undefined ? 0 : Buffer.byteLength(body),
    ...headers,
  });
  response.end(body);
}

/** The JSON form of an error outside GraphQL: the same codes, messages and request id. */
export function errorReply(error: unknown, requestId: string, logger: Logger): Reply {
  const shown =
    foreseen(error, requestId, logger) ??
    new AppError('INTERNAL', 'Something went wrong on our side. The request id identifies it in the logs.');
  const reply = json(shown.httpStatus, {
    error: { code: shown.code, message: shown.message, ...shown.details, requestId },
  });
  return { ...reply, headers: { ...reply.headers, ...shown.httpHeaders } };
}

/** What a route has thrown, with its code; null for what nobody has foreseen. What its sender can not mend is logged. */
export function foreseen(error: unknown, requestId: string, logger: Logger): AppError | null {
  const coded = codedErrorOf(error);
  if (coded !== error)
    logger.error({ err: error, requestId }, coded ? 'the database failed' : 'unexpected error');
  return coded;
}

/** A caller's own id is kept if it is harmless, so that logs on both sides can be joined. */
export function requestIdOf(request: IncomingMessage): string {
  const given = request.headers['x-request-id'];
  return typeof given === 'string' && /^[A-Za-z0-9_-]{1,64}$/.test(given) ? given : randomUUID();
}
