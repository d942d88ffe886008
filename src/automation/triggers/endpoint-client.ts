import { setMaxListeners } from 'node:events';
import { performance } from 'node:perf_hooks';
import { Agent, type Dispatcher } from 'undici';
import { isObject } from '../../calendly/cell-values.ts';
import type { EndpointRules } from '../../config.ts';
import { AppError } from '../../errors.ts';
import { excerptOf } from './answer-excerpt.ts';
import { endpointConnector } from './endpoint-connector.ts';
import { readEndpointUrl } from './endpoint-rules.ts';

/** One delivery, from connecting to the headers of the answer, in milliseconds. */
const answerTimeoutMs = 15_000;
/** What reading the rest of an answer may add; its status is what counts. */
const bodyTimeoutMs = 2_000;
/**
 * Sockets to one host, per process: as many as deliveries in its hands (`sharedPlaces`, and one for each trigger), so that
 * none waits for another trigger's.
 */
const maxSocketsPerOrigin = 1_250;
/** How long an idle socket is kept for the next delivery, in milliseconds. */
const keepAliveMs = 10_000;

export interface EndpointAnswer {
  status: number;
  /** Its beginning, for people; empty when there was none. */
  excerpt: string;
  /** As the endpoint asked by `Retry-After`; null when it did not. */
  retryAfterMs: number | null;
}

/** What came of one attempt. */
export interface EndpointAttempt {
  /** Null when no status came. */
  answer: EndpointAnswer | null;
  /** Null when it was taken: a status from 200 to 299. */
  error: AppError | null;
  durationMs: number;
}

/**
 * Posts to endpoints that others have named, and trusts none of them: see endpointConnector for where it goes. Redirects
 * are not followed, and of an answer no more is read than what people are shown.
 */
export class EndpointClient {
  readonly #rules: EndpointRules;
  readonly #agent: Agent;
  readonly #closing = new AbortController();
  readonly #timeoutMs: number;

  /** @param timeoutMs how long an endpoint may take for its answer */
  constructor(rules: EndpointRules, timeoutMs = answerTimeoutMs) {
    // Every socket listens to it; Node takes more than ten for a leak.
    setMaxListeners(0, this.#closing.signal);
    this.#rules = rules;
    this.#timeoutMs = timeoutMs;
    this.#agent = new Agent({
      connect: endpointConnector(rules, this.#closing.signal),
      connections: maxSocketsPerOrigin,
      headersTimeout: timeoutMs,
      bodyTimeout: timeoutMs,
      keepAliveTimeout: keepAliveMs,
      keepAliveMaxTimeout: keepAliveMs,
      pipelining: 1,
    });
  }

  /** @throws AppError ENDPOINT_FORBIDDEN for what would never be delivered to, as far as the URL alone can say. */
  readUrl(text: string): URL {
    return readEndpointUrl(text, this.#rules);
  }

  /** Never rejects. @param signal ends it early, which is a failure like any other */
  async post(
    url: string,
    { headers, body }: { headers: Record<string, string>; body: string },
    signal: AbortSignal,
  ): Promise<EndpointAttempt> {
    const startedAt = performance.now();
    const attempt = (rest: Omit<EndpointAttempt, 'durationMs'>): EndpointAttempt => ({
      ...rest,
      durationMs: Math.round(performance.now() - startedAt),
    });
    const ending = new AbortController();
    let hasTimedOut = false;
    // With a reason of its own: to make one costs more than to sign the body.
    const end = (): void => ending.abort(endedEarly);
    const timer = setTimeout(() => {
      hasTimedOut = true;
      end();
    }, this.#timeoutMs);
    signal.addEventListener('abort', end);
    if (signal.aborted) end();
    try {
      // The rules may have become stricter since the URL was stored.
      const target = this.readUrl(url);
      const request = this.#agent.request({
        origin: target.origin,
        path: target.pathname + target.search,
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          'user-agent': 'omnera-calendly-connections',
          ...headers,
        },
        body,
        signal: ending.signal,
      });
      // Undici heeds the signal only once it is connected.
      const response = await Promise.race([request, rejectedBy(ending.signal)]);
      const answer = {
        status: response.statusCode,
        excerpt: await excerptOf(response.body, bodyTimeoutMs),
        retryAfterMs: retryAfterOf(response.headers),
      };
      return attempt({ answer, error: refusalOf(answer.status, response.headers, target) });
    } catch (error) {
      return attempt({ answer: null, error: failureOf(error, { hasTimedOut, isStopped: signal.aborted }) });
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
    }
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#agent.destroy();
  }
}

const endedEarly = new Error('The attempt was ended.');

function rejectedBy(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(endedEarly), { once: true });
  });
}

function refusalOf(
  status: number,
  { location }: Dispatcher.ResponseData['headers'],
  target: URL,
): AppError | null {
  if (status >= 200 && status < 300) return null;
  if (status >= 300 && status < 400) {
    return refused(
      status,
      `a redirect${aimOf(location, target)}, which is not followed. Put the final address into the trigger`,
    );
  }
  if (status === 410) return refused(status, '"gone": it wants no more deliveries');
  return refused(status, 'which is no success. A status from 200 to 299 says that the delivery was taken');
}

/** The host alone: what follows it may hold a secret, and so may what stands before it. */
function aimOf(location: string | string[] | undefined, target: URL): string {
  if (typeof location !== 'string' || !URL.canParse(location, target)) return '';
  const { protocol, host } = new URL(location, target);
  if (host === target.host && protocol === target.protocol) return ' to another path of the same host';
  return ` to ${protocol}//${host.slice(0, 200)}`;
}

function refused(status: number, what: string): AppError {
  return new AppError('ENDPOINT_REFUSED', `The endpoint answered ${status}, ${what}.`, {
    details: { endpointStatus: status },
  });
}

function failureOf(
  error: unknown,
  { hasTimedOut, isStopped }: { hasTimedOut: boolean; isStopped: boolean },
): AppError {
  const own = ownErrorIn(error);
  if (own) return own;
  if (isStopped) return new AppError('SHUTTING_DOWN', 'The server stopped before the endpoint answered.');
  const code = codeOf(error);
  if (hasTimedOut || /TIMEOUT|ETIMEDOUT/.test(code)) {
    return new AppError(
      'ENDPOINT_TIMED_OUT',
      `The endpoint did not answer within ${answerTimeoutMs / 1_000} s. Answer first, and do the work afterwards.`,
    );
  }
  return new AppError(
    'ENDPOINT_UNREACHABLE',
    `The endpoint could not be reached, or what it sent is no answer (${code}).`,
  );
}

/** Ours may have come a long way through a socket and its client. */
function ownErrorIn(error: unknown): AppError | null {
  if (error instanceof AppError) return error;
  return isObject(error) && error.cause !== undefined ? ownErrorIn(error.cause) : null;
}

/** A name for what the network or its parser said, such as ECONNREFUSED. Never its words, which may quote the answer. */
function codeOf(error: unknown): string {
  if (!isObject(error)) return 'unknown';
  if (typeof error.code === 'string') return error.code.slice(0, 60);
  if (isObject(error.cause)) return codeOf(error.cause);
  return typeof error.name === 'string' ? error.name.slice(0, 60) : 'unknown';
}

/** Seconds, or a date. */
function retryAfterOf({ 'retry-after': value }: Dispatcher.ResponseData['headers']): number | null {
  if (typeof value !== 'string') return null;
  const ms = /^\d{1,9}$/.test(value) ? Number(value) * 1_000 : Date.parse(value) - Date.now();
  return Number.isFinite(ms) ? Math.max(0, ms) : null;
}
