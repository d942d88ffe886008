import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Webhook } from 'standardwebhooks';
import { moment } from './moment.ts';

/** A signed POST, as it came. */
export interface Received {
  id: string;
  body: string;
  headers: Record<string, string>;
  /** When its last byte was there. */
  at: number;
}

const patienceMs = 30_000;
/** How long one waits for what must not come: a delivery that was told already. */
const afterwardsMs = 300;

/** The endpoint of all senders: takes everything at once, and looks at it when the clock has stopped. */
export class DeliveryReceiver {
  received: Received[] = [];
  #onReceived = (): void => {};
  readonly #server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request
      .on('data', (chunk: Buffer) => chunks.push(chunk))
      .on('end', () => {
        const headers = request.headers as Record<string, string>;
        const body = Buffer.concat(chunks).toString();
        this.received.push({ id: headers['webhook-id'] ?? '', body, headers, at: moment() });
        response.writeHead(204).end();
        this.#onReceived();
      });
  });

  async start(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/`;
  }

  /**
   * Waits for so many deliveries since the last take, and takes them.
   * @throws Error unless each is signed with the secret, and none comes twice
   */
  async take(label: string, count: number, secret: string): Promise<Received[]> {
    await this.#wait(label, count);
    await new Promise((resolve) => setTimeout(resolve, afterwardsMs));
    const taken = this.received;
    this.received = [];
    const ids = new Set(taken.map(({ id }) => id));
    if (taken.length !== count || ids.size !== count)
      throw new Error(`${label} made ${taken.length} deliveries of ${ids.size} events in place of ${count}`);
    const webhook = new Webhook(secret);
    for (const { body, headers } of taken) webhook.verify(body, headers);
    return taken;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #wait(label: string, count: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const giveUp = (): void =>
        reject(new Error(`${label} made ${this.received.length} of ${count} deliveries`));
      const timer = setTimeout(giveUp, patienceMs);
      this.#onReceived = () => {
        if (this.received.length < count) return;
        clearTimeout(timer);
        resolve();
      };
      this.#onReceived();
    });
  }
}
