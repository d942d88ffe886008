import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { ApiError } from '../api-error.ts';
import type { Settings } from '../control/settings.ts';
import type { Grant } from '../oauth/grant.ts';
import type { SandboxRequest } from './message.ts';
import type { RouteMatch } from './router.ts';

/** A request whose body is there. Gets its grant once the gate has let it pass. */
export class ReceivedRequest implements SandboxRequest {
  readonly method: string;
  readonly headers: IncomingHttpHeaders;
  #grant: Grant | undefined;

  constructor(
    request: IncomingMessage,
    readonly path: string,
    readonly query: URLSearchParams,
    readonly rawBody: Buffer,
    private readonly match: RouteMatch,
    private readonly settings: Settings,
  ) {
    this.method = request.method ?? 'GET';
    this.headers = request.headers;
  }

  get params(): Record<string, string> {
    return this.match.params;
  }

  get endpoint(): string {
    return this.match.route.endpoint;
  }

  get grant(): Grant {
    if (!this.#grant)
      throw new Error(`The route of ${this.endpoint} asks for no token, so there is no grant`);
    return this.#grant;
  }

  admit(grant: Grant | undefined): void {
    this.#grant = grant;
  }

  json(): unknown {
    if (this.rawBody.length === 0) return undefined;
    try {
      return JSON.parse(this.rawBody.toString('utf8'));
    } catch {
      const status = this.settings.switches.unparseableBodyStatus;
      throw new ApiError(status, 'INVALID_REQUEST_BODY', 'Could not parse request body');
    }
  }

  form(): URLSearchParams {
    return new URLSearchParams(this.rawBody.toString('utf8'));
  }
}
