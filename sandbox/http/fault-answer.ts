import type { ServerResponse } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { ApiError } from '../api-error.ts';
import type { DueFault, Fault } from '../control/faults.ts';
import type { Reply } from './message.ts';

/** A call that is never answered is cut off after this time at the latest. */
const MAX_SILENCE_MS = 600_000;
const TORN_JSON = '{"records":[{"id":"rec';

/**
 * Carries a fault out on one call. `handled` is the true answer, null if the call was not handled. Gives the reply to
 * send, or null if the connection is gone. Rejects when `closing` fires.
 */
export async function spoil(
  { fault, deleted }: DueFault,
  handled: Reply | null,
  response: ServerResponse,
  closing: AbortSignal,
): Promise<Reply | null> {
  if (fault.delayMs > 0) await waitUnlessDeleted(fault.delayMs, deleted, closing);
  switch (fault.kind) {
    case 'status':
      return statusReply(fault);
    case 'malformed':
      return malformedReply(fault, handled);
    case 'reset':
      response.socket?.resetAndDestroy();
      return null;
    case 'timeout':
      await silence(response, closing);
      response.destroy();
      return null;
    case 'delay':
      return handled ?? statusReply(fault);
  }
}

async function waitUnlessDeleted(ms: number, deleted: AbortSignal, closing: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal: AbortSignal.any([deleted, closing]) }).catch((error: unknown) => {
    if (closing.aborted) throw error;
  });
}

function statusReply(fault: Fault): Reply {
  const { status, headers } = fault;
  const body = fault.body === undefined ? defaultBody(status) : fault.body;
  const reply: Reply = typeof body === 'string' ? { status, text: body } : { status, json: body };
  const html = typeof body === 'string' && body.startsWith('<');
  const contentType = fault.contentType ?? (html ? 'text/html; charset=utf-8' : undefined);
  return { ...reply, ...(contentType && { contentType }), ...(headers && { headers }) };
}

/** What the upstream answers with this status, as far as known. A 502 comes from a proxy and is HTML. */
function defaultBody(status: number): unknown {
  switch (status) {
    case 401:
      return new ApiError(401, 'UNAUTHORIZED', 'Invalid authentication token').body();
    case 403:
      return new ApiError(
        403,
        'INVALID_PERMISSIONS',
        'You are not permitted to perform this operation',
      ).body();
    case 404:
      return new ApiError(404, 'NOT_FOUND', undefined, 'string').body();
    case 429:
      return new ApiError(429, 'RATE_LIMIT_REACHED', 'Rate limit exceeded. Please try again later').body();
    case 502:
      return '<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>';
    case 503:
      return new ApiError(
        503,
        'RETRIABLE_ERROR',
        'Server encountered an error while processing your request, and it is safe to retry the request',
      ).body();
    default:
      return new ApiError(status, 'SERVER_ERROR', 'Server error').body();
  }
}

/** JSON that breaks off: half of the true answer, if there is one. */
function malformedReply(fault: Fault, handled: Reply | null): Reply {
  const contentType = fault.contentType ?? 'application/json; charset=utf-8';
  const headers = fault.headers ? { headers: fault.headers } : {};
  if (typeof fault.body === 'string')
    return { status: fault.status, text: fault.body, contentType, ...headers };
  const whole = handled?.json === undefined ? '' : JSON.stringify(handled.json);
  const text = whole.length > 2 ? whole.slice(0, Math.ceil(whole.length / 2)) : TORN_JSON;
  return { status: fault.status, text, contentType, ...headers };
}

/** Until the client gives up. */
async function silence(response: ServerResponse, closing: AbortSignal): Promise<void> {
  const gone = new AbortController();
  response.once('close', () => gone.abort());
  try {
    await delay(MAX_SILENCE_MS, undefined, { signal: AbortSignal.any([gone.signal, closing]) });
  } catch {
    return;
  }
}
