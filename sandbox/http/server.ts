import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { ApiError, notFound } from '../api-error.ts';
import type { SandboxContext } from '../context.ts';
import type { DueFault } from '../control/faults.ts';
import { BodyTooLarge, readBody } from './body.ts';
import { spoil } from './fault-answer.ts';
import { Gate, RateLimited } from './gate.ts';
import { refuseStrangers } from './loopback.ts';
import type { Reply } from './message.ts';
import { ReceivedRequest } from './received-request.ts';
import { withoutTrailingSlash, type RouteMatch, type Router } from './router.ts';
import { sendReply } from './send-reply.ts';

/*
 * The life of a call: read the body (413) → find the route (404; a malformed id is an unknown route) → count it → a fault
 * that comes before → latency → token, rate, rights (401, 429, 403) → handler → a fault that comes after → answer.
 * Control routes and the start page skip everything between route and handler; they answer to loopback only.
 */

/** Headers and request line together; the documented URL limit of 16,000 characters has to fit. */
const MAX_HEADER_BYTES = 65_536;

export class SandboxServer {
  readonly #server: Server;
  readonly #gate: Gate;
  readonly #closing = new AbortController();

  constructor(
    private readonly router: Router,
    private readonly context: SandboxContext,
  ) {
    this.#gate = new Gate(context);
    this.#server = createServer({ maxHeaderSize: MAX_HEADER_BYTES }, (request, response) => {
      void this.#serve(request, response);
    });
  }

  /** Starts to listen and gives the port, which the system picks for port 0. Rejects if the port is taken. */
  async listen(port: number, host: string): Promise<number> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, host, () => {
        this.#server.off('error', reject);
        resolve();
      });
    });
    return (this.#server.address() as AddressInfo).port;
  }

  /** Stops at once: calls that hang on a fault are cut off. */
  async close(): Promise<void> {
    this.#closing.abort();
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    await closed;
  }

  /** Forgets the windows and penalties of the rate limit. */
  reset(): void {
    this.#gate.reset();
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const reply = await this.#answer(request, response);
      if (reply) sendReply(response, reply);
    } catch (error) {
      if (this.#closing.signal.aborted || response.destroyed) response.destroy();
      else sendReply(response, this.#errorReply(error));
    }
  }

  /** Null if the connection was dealt with otherwise. */
  async #answer(request: IncomingMessage, response: ServerResponse): Promise<Reply | null> {
    const [path = '/', query = ''] = splitOnce(request.url ?? '/', '?');
    const method = request.method ?? 'GET';
    const rawBody = await readBody(request);
    if ((request.url ?? '').length >= this.context.settings.limits.urlCharacters) throw urlTooLong();
    const match = this.router.match(method, path);
    if (path === '/' || path.startsWith('/_control/')) {
      refuseStrangers(request);
      if (!match) throw notFound();
      return match.route.handler(this.#received(request, path, query, rawBody, match));
    }
    if (!match) throw this.#unknownRoute();
    this.context.calls.count(match.route.endpoint, match.params.baseId);
    const due = this.context.faults.take(method, withoutTrailingSlash(path));
    const { latencyMs } = this.context.settings.limits;
    if (latencyMs > 0) await delay(latencyMs, undefined, { signal: this.#closing.signal });
    if (due?.fault.effect === 'before') return this.#spoil(due, null, response);
    const received = this.#received(request, path, query, rawBody, match);
    if (!due) return this.#handle(match, received);
    const handled = await this.#handle(match, received).catch((error: unknown) => this.#errorReply(error));
    return this.#spoil(due, handled, response);
  }

  async #handle(match: RouteMatch, request: ReceivedRequest): Promise<Reply> {
    request.admit(this.#gate.admit(match, request.path, request.headers));
    return match.route.handler(request);
  }

  #received(request: IncomingMessage, path: string, query: string, rawBody: Buffer, match: RouteMatch) {
    return new ReceivedRequest(
      request,
      withoutTrailingSlash(path),
      new URLSearchParams(query),
      rawBody,
      match,
      this.context.settings,
    );
  }

  #spoil(due: DueFault, handled: Reply | null, response: ServerResponse): Promise<Reply | null> {
    return spoil(due, handled, response, this.#closing.signal);
  }

  #unknownRoute(): ApiError {
    return this.context.settings.switches.notFoundBody === 'object'
      ? new ApiError(404, 'NOT_FOUND')
      : notFound();
  }

  #errorReply(error: unknown): Reply {
    if (error instanceof BodyTooLarge) {
      // The rest of the body is not read, so the connection cannot be used again.
      const json = new ApiError(413, 'REQUEST_TOO_LARGE', 'The request body is larger than 20 MB').body();
      return { status: 413, json, headers: { connection: 'close' } };
    }
    if (error instanceof RateLimited && this.context.settings.switches.retryAfterHeader) {
      const headers = { 'retry-after': String(Math.ceil(error.waitMs / 1_000)) };
      return { status: error.status, json: error.body(), headers };
    }
    if (error instanceof ApiError) return { status: error.status, json: error.body() };
    process.emitWarning(error instanceof Error ? error : String(error), { code: 'SANDBOX_DEFECT' });
    return { status: 500, json: new ApiError(500, 'SERVER_ERROR', 'Server error').body() };
  }
}

/** What the service answers to an overlong URL is not documented; this is HTTP's own status. */
function urlTooLong(): ApiError {
  return new ApiError(414, 'REQUEST_URL_TOO_LONG', 'The URL is too long; use POST listRecords');
}

function splitOnce(text: string, separator: string): string[] {
  const index = text.indexOf(separator);
  return index < 0 ? [text] : [text.slice(0, index), text.slice(index + 1)];
}
