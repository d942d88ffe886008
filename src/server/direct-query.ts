import type { IncomingMessage, ServerResponse } from 'node:http';
import type { GraphQLSchema } from 'graphql';
import type { Caller } from '../access/caller.ts';
import type { App } from '../app.ts';
import type { Client } from './client.ts';
import { readWishes, type OperationWishes } from '../graphql/operation-context.ts';
import type { PreparedQueries } from '../graphql/prepared-queries.ts';
import { runQuery } from '../graphql/run-query.ts';

/*
 * The short way of a query. Most requests are a POST of JSON whose document was seen before; the pipeline of all
 * operations would spend several times what answering them takes. Such a request goes from the body to the executor and
 * from the result to the socket. Whatever is not exactly that, and whatever goes wrong before something was executed, is
 * left to the pipeline, which alone knows how to refuse. So there is one place for each refusal, and the two ways can
 * only differ in what they answer to a query that succeeds; test/server/direct-query.test.ts compares them.
 */

/** Accept headers that are remembered. */
const maxAccepts = 100;

const resultTypes = ['application/graphql-response+json', 'application/json'];

interface Params {
  query: string;
  operationName: string | null;
  variables: Record<string, unknown> | null;
}

export class DirectQueries {
  readonly #app: App;
  readonly #schema: GraphQLSchema;
  readonly #queries: PreparedQueries;
  readonly #origins: ReadonlySet<string>;
  readonly #contentTypes = new Map<string, string | null>();

  constructor(deps: { app: App; schema: GraphQLSchema; queries: PreparedQueries }) {
    this.#app = deps.app;
    this.#schema = deps.schema;
    this.#queries = deps.queries;
    this.#origins = new Set([new URL(deps.app.config.publicUrl).origin, ...deps.app.config.allowedOrigins]);
  }

  /** The type of the answer, for a request that may go the short way; null for any other. */
  contentType({ method, url, headers }: IncomingMessage): string | null {
    if (method !== 'POST' || url !== '/graphql') return null;
    if (!/^application\/json(?: *; *charset=utf-8)?$/i.test(headers['content-type'] ?? '')) return null;
    const accept = headers.accept ?? '*/*';
    let contentType = this.#contentTypes.get(accept);
    if (contentType === undefined) {
      contentType = contentTypeFor(accept);
      if (this.#contentTypes.size < maxAccepts) this.#contentTypes.set(accept, contentType);
    }
    return contentType;
  }

  /**
   * Answers, if the body is a query that can be executed.
   * @returns false when nothing was executed or sent
   */
  async answer(
    request: IncomingMessage,
    response: ServerResponse,
    to: { body: string; contentType: string; caller: Caller; requestId: string; client: Client },
  ): Promise<boolean> {
    const params = paramsOf(to.body);
    if (!params) return false;
    const query = this.#queries.find(params.query, params.operationName);
    if (!query) return false;
    const wishes = wishesOf(request);
    if (!wishes) return false;
    const { caller, requestId, client } = to;
    const { variables } = params;
    const result = await runQuery(this.#app, this.#schema, query, {
      caller,
      requestId,
      wishes,
      client,
      variables,
    });
    if (!result) return false;
    if (response.destroyed) return true;
    const text = JSON.stringify(result);
    // As a flat list, which Node takes as it is.
    response.writeHead(200, [
      ...['X-Request-Id', requestId],
      ...['X-Content-Type-Options', 'nosniff'],
      ...['Referrer-Policy', 'no-referrer'],
      ...['X-Frame-Options', 'DENY'],
      ...['Vary', 'Origin, Accept'],
      ...['Content-Length', String(Buffer.byteLength(text))],
      ...['Content-Type', to.contentType],
      ...this.#cors(request.headers.origin),
    ]);
    response.end(text);
    return true;
  }

  #cors(origin: string | undefined): string[] {
    if (origin === undefined || !this.#origins.has(origin)) return [];
    return [
      ...['Access-Control-Allow-Origin', origin],
      ...['Access-Control-Allow-Methods', 'GET, POST, OPTIONS'],
      ...['Access-Control-Expose-Headers', 'X-Request-Id, Retry-After'],
      ...['Access-Control-Max-Age', '600'],
    ];
  }
}

/** As the pipeline chooses: the first type of the list that a result can have, whatever its weight. */
function contentTypeFor(accept: string): string | null {
  for (const entry of accept.replace(/\s/g, '').toLowerCase().split(',')) {
    const [asked = '', ...parameters] = entry.split(';');
    const charset = parameters.find((parameter) => parameter.includes('charset=')) ?? 'charset=utf-8';
    if (charset !== 'charset=utf-8') continue;
    if (asked === '*/*' || asked === 'application/*') return 'application/json; charset=utf-8';
    if (resultTypes.includes(asked)) return `${asked}; charset=utf-8`;
    if (asked.includes('*')) return null;
  }
  return null;
}

/** @returns null for anything that is not plainly the parameters of an operation. */
function paramsOf(body: string): Params | null {
  let given: unknown;
  try {
    given = JSON.parse(body);
  } catch {
    return null;
  }
  if (typeof given !== 'object' || given === null || Array.isArray(given)) return null;
  let query: string | null = null;
  let operationName: string | null = null;
  let variables: Record<string, unknown> | null = null;
  for (const [name, value] of Object.entries(given as Record<string, unknown>)) {
    if (name === 'query' && typeof value === 'string') query = value;
    else if (name === 'operationName' && (value === null || typeof value === 'string')) operationName = value;
    else if (name === 'variables' && typeof value === 'object' && !Array.isArray(value))
      variables = value as Record<string, unknown> | null;
    else if (name === 'extensions' && typeof value === 'object' && !Array.isArray(value)) continue;
    else return null;
  }
  return query === null ? null : { query, operationName, variables };
}

const noWishes: OperationWishes = { deadlineMs: null, maxCalls: null };

function wishesOf({ headers }: IncomingMessage): OperationWishes | null {
  if (headers['x-deadline-ms'] === undefined && headers['x-upstream-max-calls'] === undefined)
    return noWishes;
  try {
    return readWishes((name) => {
      const value = headers[name];
      return Array.isArray(value) ? value.join(', ') : value;
    });
  } catch {
    return null;
  }
}
