import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Delivery {
  headers: Record<string, string>;
  body: string;
  url: string;
  at: number;
}

export type Answer = (response: ServerResponse, delivery: Delivery) => void;

const taken: Answer = (response) => response.writeHead(204).end();

/** Somebody's endpoint, which does with deliveries what a test says. */
export class EndpointServer {
  readonly deliveries: Delivery[] = [];
  /** What it does with the next ones in turn; then `answer`. */
  queued: Answer[] = [];
  answer: Answer = taken;
  /** Sockets that were opened to it, whether or not anything came through them. */
  sockets = 0;
  port = 0;
  readonly #host: string;
  readonly #server = createServer((request, response) => void this.#take(request, response)).on(
    'connection',
    () => (this.sockets += 1),
  );

  constructor(host = '127.0.0.1') {
    this.#host = host;
  }

  async start(): Promise<this> {
    await new Promise<void>((resolve) => this.#server.listen(this.port, this.#host, resolve));
    this.port = (this.#server.address() as AddressInfo).port;
    return this;
  }

  get url(): string {
    return `http://${this.#host.includes(':') ? `[${this.#host}]` : this.#host}:${this.port}/hook`;
  }

  /** The bodies of the deliveries, read. */
  get events(): { type: string; timestamp: string; data: Record<string, never> & { recordId?: string } }[] {
    return this.deliveries.map(({ body }) => JSON.parse(body));
  }

  reset(): void {
    this.deliveries.length = 0;
    this.queued = [];
    this.answer = taken;
    this.sockets = 0;
  }

  async close(): Promise<void> {
    if (!this.#server.listening) return;
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  async #take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    try {
      for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
    } catch {
      return;
    }
    const delivery = {
      headers: request.headers as Record<string, string>,
      body: Buffer.concat(chunks).toString('utf8'),
      url: request.url ?? '',
      at: Date.now(),
    };
    this.deliveries.push(delivery);
    (this.queued.shift() ?? this.answer)(response, delivery);
  }
}

/** Answers with a status, and perhaps a body and headers. */
export function status(code: number, body = '', headers: Record<string, string> = {}): Answer {
  return (response) => response.writeHead(code, headers).end(body);
}
