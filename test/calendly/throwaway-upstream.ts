import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Received {
  method: string;
  url: string;
  headers: IncomingMessage['headers'];
  body: string;
  /** By the server's monotonic clock, in milliseconds. */
  at: number;
}

/** What the server does with one request: answers, or anything else that a socket allows. */
export type Behaviour = (response: ServerResponse, request: IncomingMessage) => void;

/** An upstream that does whatever a test wants, request by request; the last behaviour stays. */
export class ThrowawayUpstream {
  readonly received: Received[] = [];
  #behaviours: Behaviour[] = [answer(200, {})];
  readonly #server = createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8');
    request.on('data', (chunk: string) => (body += chunk));
    request.on('end', () => {
      const { method = '', url = '', headers } = request;
      this.received.push({ method, url, headers, body, at: performance.now() });
      const next = this.#behaviours.length > 1 ? this.#behaviours.shift() : this.#behaviours[0];
      next?.(response, request);
    });
  });

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  behave(...behaviours: Behaviour[]): void {
    this.#behaviours = behaviours;
    this.received.length = 0;
  }

  async start(port = 0): Promise<this> {
    await new Promise<void>((resolve) => this.#server.listen(port, '127.0.0.1', resolve));
    return this;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

export function answer(status: number, body: unknown, headers: Record<string, string> = {}): Behaviour {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  return (response) => {
    response.writeHead(status, { 'content-type': 'application/json; charset=utf-8', ...headers }).end(text);
  };
}

/** Closes the connection without an answer. */
export const reset: Behaviour = (_, request) => request.socket.destroy();

/** Announces more than it sends, then closes. */
export const cutOff: Behaviour = (response, request) => {
  response.writeHead(200, { 'content-length': '1000' });
  response.write('{"id":', () => request.socket.destroy());
};

/** Never answers. */
export const silence: Behaviour = () => undefined;
