import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { GraphQLError, type DocumentNode, type ExecutionArgs, type GraphQLSchema } from 'graphql';
import { CloseCode } from 'graphql-ws';
import { useServer } from 'graphql-ws/use/ws';
import { WebSocketServer, type WebSocket } from 'ws';
import type { Caller } from '../access/caller.ts';
import type { App } from '../app.ts';
import { AppError } from '../errors.ts';
import type { GraphQLContext } from '../graphql/context.ts';
import { shownError } from '../graphql/error-masking.ts';
import { bearer, type ServerContext, type Yoga } from '../graphql/yoga.ts';
import { lastAnswer } from './last-answer.ts';
import { NextFrames } from './next-frames.ts';
import { requestIdOf } from './reply.ts';
import { SocketOutlet, SocketWay, type WayOptions } from './socket-outlet.ts';
import { UpgradeLine } from './upgrade-line.ts';

/** Longest message from a client, in bytes. */
const maxMessageBytes = 1_000_000;
/** A client that has not said hello by then is closed with 4408. */
const initTimeoutMs = 10_000;
/** How often each socket is pinged; one that does not answer until the next ping is closed. */
const keepAliveMs = 12_000;
/** Whoever has not answered by then that their key has ended is cut, in milliseconds. */
const goodbyeMs = 2_000;
/** Operations that one socket may run at a time. */
const maxOperationsPerSocket = 100;
/** Sockets of this process; more are refused with 503. */
const maxSockets = 20_000;
/** RFC 6455's registry: the client may come back, unlike after 4403. */
const tryAgainLater = 1013;

/** The steps of an operation, as the GraphQL server would take them for a request over HTTP. */
interface Pipeline {
  schema: GraphQLSchema;
  parse: (source: string) => DocumentNode;
  validate: (schema: GraphQLSchema, document: DocumentNode) => readonly GraphQLError[];
  contextFactory: () => unknown;
  execute: Step;
  subscribe: Step;
}

type Step = (args: ExecutionArgs) => never;
type Steps = Pick<Pipeline, 'execute' | 'subscribe'>;

interface Extra extends Record<PropertyKey, unknown> {
  caller?: Caller;
  way?: SocketWay;
}

/** graphql-ws on the same path and through the same pipeline as HTTP. */
export function createWebSockets(app: App, yoga: Yoga) {
  const server = new WebSocketServer({
    noServer: true,
    maxPayload: maxMessageBytes,
    perMessageDeflate: false,
  });
  app.metrics.watch({ websockets: () => server.clients.size });
  const ways: WayOptions = {
    clock: app.clock,
    frames: new NextFrames(),
    onStalled: () => app.metrics.slowSubscriberClosed(),
  };
  const origins = new Set([new URL(app.config.publicUrl).origin, ...app.config.allowedOrigins]);

  const protocol = useServer<Record<string, unknown>, Extra>(
    {
      connectionInitWaitTimeout: initTimeoutMs,
      async onConnect({ connectionParams, extra }) {
        const given = connectionParams?.authorization ?? connectionParams?.Authorization;
        try {
          const caller = await app.authentication.caller(
            bearer(typeof given === 'string' ? given : null) ?? (typeof given === 'string' ? given : null),
            extra.request.socket.remoteAddress ?? '',
          );
          extra.caller = caller;
          closeWithKey(app, caller, extra.socket);
          return true;
        } catch (error) {
          if (error instanceof AppError && error.code === 'TOO_MANY_ATTEMPTS')
            extra.socket.close(tryAgainLater, 'Too many wrong API keys');
          if (error instanceof AppError && error.httpStatus < 500) return false; // Closes with 4403.
          // Nothing is wrong with the client: it should come back, which it would not after 4500.
          if (!(error instanceof AppError))
            app.logger.error({ err: error }, 'a WebSocket could not be authenticated');
          extra.socket.close(tryAgainLater, 'Try again later');
          return false;
        }
      },
      async onSubscribe({ extra, subscriptions }, id, payload) {
        // Until the peer has answered our goodbye its messages still come. Whose key has ended may do nothing more, and
        // others would not hear what became of it, and ask again elsewhere.
        if (extra.socket.readyState !== extra.socket.OPEN)
          return [new GraphQLError('The socket is closing.')];
        const requestId = requestIdOf(extra.request);
        // The one that asks is among them already, so a burst of messages is counted as it comes.
        if (Object.keys(subscriptions).length > maxOperationsPerSocket) {
          const message = `One socket may run ${maxOperationsPerSocket} operations at a time. End one, or open another socket.`;
          return [new GraphQLError(message, { extensions: { code: 'SUBSCRIPTION_LIMIT', requestId } })];
        }
        const serverContext: ServerContext = {
          requestId,
          signal: undefined,
          remoteAddress: extra.request.socket.remoteAddress ?? '',
          caller: extra.caller,
          outlet: new SocketOutlet((extra.way ??= wayOf(extra, ways)), id),
        };
        const shown = (error: unknown) => shownError(error, { app, requestId });
        const pipeline = yoga.getEnveloped({ ...serverContext, request: undefined, params: payload });
        const { schema, execute, subscribe, contextFactory, parse, validate } = pipeline as Pipeline;
        try {
          const document = parse(payload.query);
          const faults = validate(schema, document);
          if (faults.length > 0) return faults.map(shown);
          return {
            schema,
            document,
            operationName: payload.operationName,
            variableValues: payload.variables,
            contextValue: (await contextFactory()) as GraphQLContext,
            rootValue: { execute, subscribe } satisfies Steps,
          };
        } catch (error) {
          return [shown(error)];
        }
      },
      execute: (args) => stepsOf(args).execute(args),
      subscribe: (args) => stepsOf(args).subscribe(args),
      onNext(_context, _id, _payload, args, result) {
        if (!result.errors) return;
        const { requestId } = args.contextValue as GraphQLContext;
        return {
          ...result,
          errors: result.errors.map((error) => shownError(error, { app, requestId })),
        };
      },
      onError({ extra }, _id, _payload, errors) {
        return errors.map((error) => {
          const { requestId } = error.extensions;
          return shownError(error, {
            app,
            requestId: typeof requestId === 'string' ? requestId : requestIdOf(extra.request),
          });
        });
      },
    },
    server,
    keepAliveMs,
  );

  const line = new UpgradeLine();
  const take = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
    server.handleUpgrade(request, socket, head, (client) => {
      forgetHeaders(request);
      server.emit('connection', client, request);
      // The protocol library prints what goes wrong on a socket to the console. The socket closes itself with the
      // fitting code, such as 1009 for a message that is too long.
      client.removeAllListeners('error');
      client.on('error', (error) => app.logger.debug({ err: error }, 'a WebSocket failed'));
    });
  };

  return {
    upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
      const path = (request.url ?? '').split('?')[0];
      const origin = request.headers.origin;
      if (path !== '/graphql') return refuse(socket, '404 Not Found');
      // Browsers always send their origin; other clients have none.
      if (origin !== undefined && !origins.has(origin)) return refuse(socket, '403 Forbidden');
      if (server.clients.size + line.length >= maxSockets) return refuse(socket, '503 Service Unavailable');
      // Nobody else listens to it while it waits.
      const onError = (): unknown => socket.destroy();
      socket.on('error', onError);
      line.join(() => {
        socket.off('error', onError);
        take(request, socket, head);
      });
    },
    /** Cuts the sockets of peers that did not answer the goodbye. */
    terminate(): void {
      for (const client of server.clients) client.terminate();
    },
    /** Sockets close with 1012, which clients take as "come back to another instance". */
    async close(): Promise<void> {
      for (const client of server.clients) client.close(1012, 'Restarting');
      await protocol.dispose();
    },
  };
}

/** Takes the steps out of the arguments, which live as long as the subscription and would keep the whole pipeline. */
function stepsOf(args: ExecutionArgs): Steps {
  const steps = args.rootValue as Steps;
  args.rootValue = undefined;
  return steps;
}

/** Closes a socket as a wrong key would have closed it, once its key or token has ended. */
function closeWithKey(app: App, caller: Caller, socket: WebSocket): void {
  if (socket.readyState !== socket.OPEN) return;
  const unwatch = app.callerWatch.watch(caller, () => {
    socket.close(CloseCode.Forbidden, 'Forbidden');
    const cut = setTimeout(() => socket.terminate(), goodbyeMs);
    socket.once('close', () => clearTimeout(cut));
  });
  socket.once('close', unwatch);
}

function wayOf(
  { socket, request }: Extra & { socket: WebSocket; request: IncomingMessage },
  ways: WayOptions,
): SocketWay {
  return new SocketWay(socket, request.socket, ways);
}

/** The request lives as long as its socket, and a browser's headers are some kilobytes that nobody asks for any more. */
function forgetHeaders(request: IncomingMessage): void {
  const { 'x-request-id': requestId } = request.headers;
  request.headers = requestId === undefined ? {} : { 'x-request-id': requestId };
  request.rawHeaders = [];
}

function refuse(socket: Duplex, status: string): void {
  lastAnswer(socket, `HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
}
