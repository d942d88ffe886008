import { setMaxListeners } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { App } from '../app.ts';
import { oauthRoutes } from '../connections/routes.ts';
import { AppError } from '../errors.ts';
import { DocumentCache } from '../graphql/document-cache.ts';
import { PreparedQueries } from '../graphql/prepared-queries.ts';
import { schema } from '../graphql/schema.ts';
import { createGraphQLYoga } from '../graphql/yoga.ts';
import { webhookRoutes } from '../webhooks/routes.ts';
import { readBody } from './body.ts';
import { ExplorerPage } from './explorer-page.ts';
import { createGraphQLEndpoint } from './graphql-endpoint.ts';
import { DirectQueries } from './direct-query.ts';
import { createHandler } from './handler.ts';
import { live, ready } from './health.ts';
import { IncomingRequest } from './incoming-request.ts';
import { metrics } from './metrics.ts';
import { json, type Route } from './reply.ts';
import { startPage } from './start-page.ts';
import { answerUnreadable } from './unreadable-request.ts';
import { createWebSockets } from './websocket.ts';

/** A client that has not sent its headers, or its whole request, by then is dropped. */
const headersTimeoutMs = 10_000;
const requestTimeoutMs = 60_000;
/** How long calls in flight may take to finish when the server closes. */
const closeTimeoutMs = 8_000;
/**
 * Connections that the system holds until we take them; Linux holds as many by default, Node asks for 511. After a deploy
 * thousands come back in one moment, and those that find no room are reset, or try again after seconds.
 */
const maxUntaken = 4_096;
/** While the server closes, connections that have become idle are closed so often, in milliseconds. */
const idleCheckMs = 50;
const maxExplorerBodyBytes = 1_000;

export interface Server {
  url: string;
  port: number;
  /** Takes no new requests, lets the ones in flight finish, closes sockets with 1012. */
  close(): Promise<void>;
}

/** How queries are answered. Anything but the default is for comparing the ways with each other. */
export interface QueryWays {
  /** Whether a plain query may pass by the pipeline of all operations. */
  direct: boolean;
  /** Runs of a query before it is compiled. */
  interpretedRuns?: number;
}

/** Opens the doors of an app: HTTP, server-sent events and WebSocket on one port. */
export async function listen(
  app: App,
  at: { host: string; port: number },
  queries: QueryWays = { direct: true },
): Promise<Server> {
  const documents = new DocumentCache();
  const yoga = createGraphQLYoga(app, schema, documents);
  const direct = queries.direct
    ? new DirectQueries({
        app,
        schema,
        queries: new PreparedQueries(schema, documents, queries.interpretedRuns),
      })
    : null;
  const sockets = createWebSockets(app, yoga);
  const closing = new AbortController();
  // Every open event stream listens to it; Node takes more than ten for a leak.
  setMaxListeners(0, closing.signal);
  // A worker has work of its own and serves nobody.
  const serves = app.config.role !== 'worker';
  const graphql = serves
    ? createGraphQLEndpoint(app, yoga, direct, new ExplorerPage(), closing.signal)
    : null;
  const others = new Map<string, Route>([
    ['GET /health/live', live],
    ['GET /health/ready', ready(app)],
    ['GET /metrics', metrics(app)],
    ...(serves ? servingRoutes(app) : []),
  ]);
  const handle = createHandler(app, { graphql, others });
  const server = createServer(
    {
      IncomingMessage: IncomingRequest,
      headersTimeout: headersTimeoutMs,
      requestTimeout: requestTimeoutMs,
      keepAliveTimeout: 65_000,
    },
    (request, response) => void handle(request, response),
  );
  server.on('clientError', answerUnreadable);
  if (serves) server.on('upgrade', (request, socket, head) => sockets.upgrade(request, socket, head));
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(at.port, at.host, maxUntaken, resolve);
  });
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://${at.host.includes(':') ? `[${at.host}]` : at.host}:${port}`,
    port,
    async close() {
      // A long write ends with the call that is in flight, in time to tell which records it has not sent.
      app.recordWrites.stop();
      void app.endBackground();
      const force = setTimeout(() => {
        sockets.terminate();
        server.closeAllConnections();
      }, closeTimeoutMs);
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      closing.abort();
      await sockets.close();
      server.closeIdleConnections();
      // Those that were in use stay open for their clients' next request, once they have been answered.
      const idle = setInterval(() => server.closeIdleConnections(), idleCheckMs);
      await closed;
      clearInterval(idle);
      clearTimeout(force);
    },
  };
}

function servingRoutes(app: App): [string, Route][] {
  return [
    ['GET /', startPage],
    ['POST /explorer/key', explorerKey(app)],
    ...oauthRoutes(app.flows, app.config.publicUrl, app.logger),
    ...webhookRoutes(app.webhooks, app.logger, (outcome) => app.metrics.ping(outcome)),
  ];
}

/** Exchanges the one-use code of a GraphiQL link for a key. Only our own page may ask. */
function explorerKey(app: App): Route {
  return async (request) => {
    const { origin, host } = request.headers;
    // A page without an address of its own, such as a sandboxed frame, sends the word "null".
    if (origin !== undefined && !(URL.canParse(origin) && new URL(origin).host === host))
      throw new AppError('FORBIDDEN', 'Only the GraphiQL page of this server may exchange a code.');
    const body = (await readBody(request, maxExplorerBodyBytes)).toString('utf8');
    const code = /^\{"code":"([A-Za-z0-9_-]{1,100})"\}$/.exec(body)?.[1];
    if (!code)
      throw new AppError('BAD_REQUEST', 'The body must be {"code":"…"} with the code of the printed link.');
    return {
      ...json(200, { key: await app.explorerCodes.redeem(code) }),
      headers: { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' },
    };
  };
}
