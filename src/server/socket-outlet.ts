import type { Socket } from 'node:net';
import type { WebSocket } from 'ws';
import type { Clock } from '../clock.ts';
import type { Outlet } from '../graphql/outlet.ts';
import type { NextFrames } from './next-frames.ts';
import { watchProgress } from './progress-watch.ts';

/** Bytes that may wait for the client of a WebSocket to take them before its subscriptions wait as well. */
const maxWaitingBytes = 256_000;
/** RFC 6455's registry: try again later. */
const tryAgainLater = 1013;

/** What all sockets of a server share. */
export interface WayOptions {
  clock: Clock;
  frames: NextFrames;
  /** Told of each client that is sent away. */
  onStalled: () => void;
}

/**
 * The way out of one WebSocket, which all of its subscriptions share. When it is full they wait until it is empty; a
 * client that takes nothing of it for some seconds is sent away.
 */
export class SocketWay {
  readonly #socket: WebSocket;
  readonly #stream: Socket;
  readonly #options: WayOptions;
  readonly #waiting = new Set<() => void>();
  #unwatch: (() => void) | null = null;

  /** @param stream the TCP connection below the socket */
  constructor(socket: WebSocket, stream: Socket, options: WayOptions) {
    this.#socket = socket;
    this.#stream = stream;
    this.#options = options;
  }

  /** Sends a result past the socket: nothing compresses or waits between it and its stream, so their order is kept. */
  send(result: string, operationId: string): void {
    if (!this.#isClosed) this.#stream.write(this.#options.frames.frame(result, operationId));
  }

  /** A closed way never has room again: its subscriptions wait for their end, which comes with the socket's. */
  get isFull(): boolean {
    return this.#isClosed || this.#stream.writableLength > maxWaitingBytes;
  }

  async room(signal: AbortSignal): Promise<void> {
    if (!this.isFull || signal.aborted) return;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        signal.removeEventListener('abort', done);
        this.#waiting.delete(done);
        if (this.#waiting.size === 0) this.#unwatch?.();
        resolve();
      };
      if (this.#waiting.size === 0) this.#watch();
      this.#waiting.add(done);
      signal.addEventListener('abort', done);
    });
  }

  #watch(): void {
    const emptied = (): void => {
      if (!this.#isClosed) for (const done of [...this.#waiting]) done();
    };
    const unwatchProgress = watchProgress(
      () => this.#stream.writableLength,
      this.#options.clock,
      () => {
        if (this.#isClosed) return;
        this.#options.onStalled();
        this.#socket.close(tryAgainLater, 'Too slow');
      },
    );
    this.#stream.on('drain', emptied);
    this.#unwatch = () => {
      this.#stream.off('drain', emptied);
      unwatchProgress();
    };
  }

  get #isClosed(): boolean {
    return this.#socket.readyState !== this.#socket.OPEN;
  }
}

/** The way of one operation's results, as messages of graphql-ws. */
export class SocketOutlet implements Outlet {
  readonly #way: SocketWay;
  readonly #operationId: string;

  /** @param operationId as the client chose it */
  constructor(way: SocketWay, operationId: string) {
    this.#way = way;
    this.#operationId = operationId;
  }

  send(text: string): void {
    this.#way.send(text, this.#operationId);
  }

  get isFull(): boolean {
    return this.#way.isFull;
  }

  room(signal: AbortSignal): Promise<void> {
    return this.#way.room(signal);
  }
}
