import type { IncomingHttpHeaders } from 'node:http';
import type { Grant } from '../oauth/grant.ts';

/** A request as handlers see it: read completely, with its route's parameters decoded. */
export interface SandboxRequest {
  readonly method: string;
  /** Path without the query, as sent (percent-encoded), without a trailing slash. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingHttpHeaders;
  readonly rawBody: Buffer;
  /** Values of the `:name` segments of the route's pattern, percent-decoded. */
  readonly params: Record<string, string>;
  /** The endpoint name of the route, such as `listRecords`. */
  readonly endpoint: string;
  /** The body as JSON; throws ApiError 422 INVALID_REQUEST_BODY if it is none. An empty body is undefined. */
  json(): unknown;
  /** The body as `application/x-www-form-urlencoded`. */
  form(): URLSearchParams;
  /** The grant of the bearer token; throws on a route that asks for none. */
  readonly grant: Grant;
}

/** An answer. `json` wins over `text`; with neither the body is empty. */
export interface Reply {
  status: number;
  json?: unknown;
  text?: string;
  contentType?: string;
  headers?: Record<string, string>;
}

export type Handler = (request: SandboxRequest) => Reply | Promise<Reply>;
