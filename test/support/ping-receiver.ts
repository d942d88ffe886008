import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface ReceivedPing {
  headers: IncomingHttpHeaders;
  body: string;
}

/** What a receiver does with a ping; status 0 means: never answer. */
export type PingAnswer = number;

const POLL_MS = 5;

/** Waits until `condition` holds; rejects after ten seconds, naming what was waited for. */
export async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 10_000;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`Waited in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

/** An endpoint on this machine that pings are sent to. */
export class PingReceiver {
  readonly pings: ReceivedPing[] = [];
  /** Answers of the next pings in turn; then `answer`. */
  queued: PingAnswer[] = [];
  answer: PingAnswer = 204;
  url = '';
  readonly #hanging: ServerResponse[] = [];
  readonly #server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      this.pings.push({ headers: request.headers, body: Buffer.concat(chunks).toString('utf8') });
      const status = this.queued.shift() ?? this.answer;
      if (status === 0) this.#hanging.push(response);
      else response.writeHead(status).end();
    });
  });

  async start(): Promise<this> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    this.url = `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/hook`;
    return this;
  }

  reset(): void {
    this.pings.length = 0;
    this.queued = [];
    this.answer = 204;
    this.release();
  }

  /** Answers the pings that were left without an answer. */
  release(status = 204): void {
    for (const response of this.#hanging.splice(0)) if (!response.destroyed) response.writeHead(status).end();
  }

  async received(count: number): Promise<void> {
    await until(`${count} pings`, () => this.pings.length >= count);
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }
}
