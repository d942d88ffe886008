import type { IncomingMessage, ServerResponse } from 'node:http';
import type { App } from '../app.ts';
import { AppError } from '../errors.ts';
import { discardRest } from './body.ts';
import { errorReply, requestIdOf, send, type Route } from './reply.ts';
import type { GraphQLEndpoint } from './graphql-endpoint.ts';

export interface Routes {
  /** Null in a process that serves nobody. */
  graphql: GraphQLEndpoint | null;
  /** By method and path; a path ending in `/*` takes one more segment. */
  others: Map<string, Route>;
}

/** Takes every HTTP request to its room. */
export function createHandler(app: App, routes: Routes) {
  return async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const requestId = requestIdOf(request);
    try {
      const url = request.url === '/graphql' ? graphqlAddress : addressOf(request);
      if (url.pathname === '/graphql' && routes.graphql) {
        await routes.graphql(request, url, response, requestId);
        return;
      }
      response.setHeader('X-Request-Id', requestId);
      const route = findRoute(routes.others, request.method ?? 'GET', url.pathname);
      send(response, await route(request, url, requestId));
    } catch (error) {
      // Whoever has hung up needs no answer, and is no fault of ours.
      if (response.destroyed) return;
      discardRest(request);
      if (!response.headersSent) response.setHeader('X-Request-Id', requestId);
      send(response, errorReply(error, requestId, app.logger));
    }
  };
}

/** Read once: nearly every request is for it. */
const graphqlAddress = new URL('http://localhost/graphql');

/** Clients behind a proxy may send the whole address instead of the path; its host says nothing to us. */
function addressOf(request: IncomingMessage): URL {
  const target = request.url ?? '/';
  const address = target.startsWith('/') ? `http://localhost${target}` : target;
  if (!URL.canParse(address))
    throw new AppError('BAD_REQUEST', 'The address of the request can not be read.');
  return new URL(address);
}

function findRoute(routes: Map<string, Route>, method: string, path: string): Route {
  // A link that works once must not be used up by somebody who only checks whether it is there.
  const asked = method === 'HEAD' && !path.startsWith('/oauth/') ? 'GET' : method;
  const route = routes.get(`${asked} ${path}`) ?? routes.get(`${asked} ${path.replace(/[^/]+$/, '*')}`);
  if (route) return route;
  return () => {
    throw new AppError(
      'NOT_FOUND',
      `There is nothing at ${method} ${path.slice(0, 100)}. The API is at /graphql, and / says what else is here.`,
    );
  };
}
