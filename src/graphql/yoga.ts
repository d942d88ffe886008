import { useCSRFPrevention } from '@graphql-yoga/plugin-csrf-prevention';
import {
  getOperationAST,
  GraphQLError,
  Kind,
  OperationTypeNode,
  type DocumentNode,
  type ExecutionArgs,
  type GraphQLSchema,
  type Source,
} from 'graphql';
import { createYoga, type Plugin, type YogaServerInstance } from 'graphql-yoga';
import type { Caller } from '../access/caller.ts';
import type { App } from '../app.ts';
import { AppError } from '../errors.ts';
import type { GraphQLContext } from './context.ts';
import { nothingCached, type DocumentCache } from './document-cache.ts';
import { checkDocument, parseWithinLimits } from './document-limits.ts';
import { maskError } from './error-masking.ts';
import { allowTimeForWrites, createOperation, readWishes, upstreamCost } from './operation-context.ts';
import type { Outlet } from './outlet.ts';
import { subscribeWithFreshOperations } from './subscribe.ts';
import { SubscriberGroups } from './subscriber-groups.ts';
import { requireShallowVariables } from './variable-depth.ts';

/** What the server knows of a request before Yoga sees it. */
export interface ServerContext {
  requestId: string;
  signal: AbortSignal | undefined;
  /** The peer of the connection. What a header says of others that it forwards for is not believed. */
  remoteAddress: string;
  /** Set by authentication; over WebSocket, by the connection. */
  caller?: Caller;
  /** Why the caller is not let in, where that was found out before. */
  refusal?: Error;
  /** Over WebSocket: the way of a subscription's results. */
  outlet?: Outlet;
}

export type Yoga = YogaServerInstance<ServerContext, GraphQLContext>;

/** The one pipeline of all operations, whether they come by HTTP, as server-sent events or over a WebSocket. */
export function createGraphQLYoga(app: App, schema: GraphQLSchema, documents: DocumentCache): Yoga {
  const ownOrigin = new URL(app.config.publicUrl).origin;
  const origins = new Set([ownOrigin, ...app.config.allowedOrigins]);
  return createYoga<ServerContext, GraphQLContext>({
    schema,
    logging: false,
    graphiql: false,
    landingPage: false,
    healthCheckEndpoint: '/health/live',
    multipart: false,
    batching: false,
    // The raw request is bounded before Yoga sees it; its own limit would pipe every body through streams.
    maxRequestBodySize: false,
    parserAndValidationCache: { documentCache: documents, errorCache: nothingCached },
    maskedErrors: { maskError: (error) => maskError(error, app.logger) },
    cors: (request) => {
      const origin = request.headers.get('origin');
      return origin !== null && origins.has(origin)
        ? {
            origin,
            credentials: false,
            methods: ['GET', 'POST', 'OPTIONS'],
            exposedHeaders: ['X-Request-Id', 'Retry-After'],
            maxAge: 600,
          }
        : false;
    },
    context: (initial) => {
      const { caller, requestId, signal, request, outlet } = initial;
      if (!caller) throw new AppError('UNAUTHENTICATED', 'This server needs an API key.');
      const wishes = readWishes((name) => request?.headers.get(name));
      const lastEventId = request?.headers.get('last-event-id') || null;
      const operation = createOperation(app, caller, wishes, { signal });
      return { app, caller, requestId, wishes, operation, lastEventId, outlet };
    },
    plugins: [
      useAuthentication(app),
      useCSRFPrevention({
        requestHeaders: ['authorization', 'x-graphql-yoga-csrf', 'apollo-require-preflight'],
      }),
      useNamedRefusals(),
      useDocumentLimits(),
      useOperationLimit(app),
      useFreshOperations(app),
      useAnswerExtensions(),
    ],
  });
}

/** Nobody gets further than this without a key. It runs inside Yoga so that browsers may read the refusal (CORS). */
function useAuthentication(app: App): Plugin<object, ServerContext> {
  return {
    async onRequest({ request, serverContext, endResponse, fetchAPI }) {
      if (request.method === 'OPTIONS' || serverContext.caller) return;
      try {
        if (serverContext.refusal !== undefined) throw serverContext.refusal;
        serverContext.caller = await app.authentication.caller(
          bearer(request.headers.get('authorization')),
          serverContext.remoteAddress,
        );
      } catch (error) {
        const { message, extensions } = maskError(error, app.logger);
        const { http, ...shown } = extensions as { http?: ResponseInit };
        endResponse(
          fetchAPI.Response.json(
            { errors: [{ message, extensions: { ...shown, requestId: serverContext.requestId } }] },
            http ?? { status: 500 },
          ),
        );
      }
    },
  };
}

export function bearer(header: string | null | undefined): string | null {
  return /^Bearer +(\S+) *$/i.exec(header ?? '')?.[1] ?? null;
}

/** Where Yoga would answer with nothing but a status, or with a slip of ours, the answer gets a code and a reason. */
function useNamedRefusals(): Plugin {
  return {
    onRequestParse({ request, requestParser, setRequestParser }) {
      if (request.method !== 'GET' && request.method !== 'POST') return;
      if (!requestParser) {
        throw new GraphQLError('Send the operation as JSON, with "Content-Type: application/json".', {
          extensions: { code: 'BAD_REQUEST', http: { status: 415 } },
        });
      }
      setRequestParser(async (toParse) => {
        try {
          return await requestParser(toParse);
        } catch (error) {
          if (!(error instanceof SyntaxError)) throw error;
          throw new AppError('BAD_REQUEST', '"variables" and "extensions" must be JSON.');
        }
      });
    },
  };
}

function useDocumentLimits(): Plugin {
  return {
    onParse({ params, setParseFn, parseFn }) {
      const given = params.source as string | Source;
      const text = typeof given === 'string' ? given : given.body;
      setParseFn((source, options) =>
        parseWithinLimits(text, (maxTokens) => parseFn(source, { ...options, maxTokens }) as DocumentNode),
      );
      return ({ result }) => {
        if (!isDocument(result)) return;
        const fault = checkDocument(result);
        if (fault) throw fault;
      };
    },
  };
}

/** Subscriptions are not counted: they wait most of the time, and sockets have bounds of their own. */
function useOperationLimit(app: App): Plugin<GraphQLContext> {
  return {
    onExecute({ args, executeFn, setExecuteFn }) {
      setExecuteFn(async (given: ExecutionArgs) => {
        let leave: () => void;
        try {
          requireShallowVariables(given.variableValues);
          leave = app.operationsInFlight.enter(args.contextValue.caller.id);
        } catch (error) {
          return { errors: [maskError(error, app.logger)] };
        }
        try {
          return (await executeFn(given)) as unknown;
        } finally {
          leave();
        }
      });
    },
  };
}

/** Each event of a subscription is an operation of its own: own loaders, own deadline, own count of calls. */
function useFreshOperations(app: App): Plugin<GraphQLContext> {
  const groups = new SubscriberGroups();
  return {
    onSubscribe({ setSubscribeFn }) {
      setSubscribeFn((args: ExecutionArgs) => {
        try {
          requireShallowVariables(args.variableValues);
        } catch (error) {
          return { errors: [maskError(error, app.logger)] };
        }
        return subscribeWithFreshOperations(args, groups);
      });
    },
  };
}

/** Says in each answer what it cost, and in each error under which request id it is in the logs. */
function useAnswerExtensions(): Plugin<GraphQLContext> {
  return {
    onExecute({ args }) {
      const { document, operationName } = args as ExecutionArgs;
      const operation = getOperationAST(document, operationName);
      const isMutation = operation?.operation === OperationTypeNode.MUTATION;
      if (isMutation) allowTimeForWrites(args.contextValue);
      const startedAt = performance.now();
      return {
        onExecuteDone({ result, setResult }) {
          if (!('data' in result) && !('errors' in result)) return;
          args.contextValue.app.metrics.operationDone(
            isMutation ? 'mutation' : 'query',
            result.errors !== undefined,
            performance.now() - startedAt,
          );
          setResult({
            ...result,
            extensions: { ...result.extensions, upstream: upstreamCost(args.contextValue) },
          });
        },
      };
    },
    onResultProcess({ result, serverContext }) {
      if (Symbol.asyncIterator in result) return;
      const { requestId } = serverContext as unknown as ServerContext;
      for (const single of Array.isArray(result) ? result : [result]) {
        for (const error of single.errors ?? []) Object.assign(error.extensions, { requestId });
      }
    },
  };
}

function isDocument(value: unknown): value is DocumentNode {
  return typeof value === 'object' && value !== null && 'kind' in value && value.kind === Kind.DOCUMENT;
}
