import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

/** What PostgreSQL says to each of its clients when its first process is killed. */
const lastWords = fatal('57P01', 'terminating connection due to unexpected postmaster exit');

/** A way to PostgreSQL on which connections break, at any byte. */
export class BreakingDoor {
  readonly #server: Server;
  readonly #pairs = new Set<readonly [client: Socket, target: Socket]>();
  /** Whether an answer is the last one of its connection. PostgreSQL's last words then come in one piece with it. */
  isLast: (answer: Buffer) => boolean = () => false;

  private constructor(port: number) {
    this.#server = createServer((client) => this.#pass(client, connect(port, 'localhost')));
  }

  /** @param url of the database behind it */
  static async start(url: string): Promise<BreakingDoor> {
    const door = new BreakingDoor(Number(new URL(url).port));
    await new Promise<void>((resolve) => door.#server.listen(0, '127.0.0.1', resolve));
    return door;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Ends all connections there are. */
  breakAll(how: 'with last words' | 'closed' | 'reset'): void {
    for (const [client, target] of this.#pairs) {
      if (how === 'with last words') client.end(lastWords);
      else if (how === 'closed') client.destroy();
      else client.resetAndDestroy();
      target.destroy();
    }
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.breakAll('closed');
    await closed;
  }

  #pass(client: Socket, target: Socket): void {
    const pair = [client, target] as const;
    this.#pairs.add(pair);
    client.on('data', (chunk) => target.write(chunk));
    target.on('data', (chunk) => {
      if (!this.isLast(chunk)) return void client.write(chunk);
      client.end(Buffer.concat([chunk, lastWords]));
      target.destroy();
    });
    for (const [socket, other] of [pair, [target, client] as const])
      socket
        .on('error', () => undefined)
        .on('close', () => {
          other.destroy();
          this.#pairs.delete(pair);
        });
  }
}

/** An ErrorResponse of PostgreSQL's protocol. */
function fatal(code: string, message: string): Buffer {
  const body = Buffer.from(`SFATAL\0C${code}\0M${message}\0\0`);
  const head = Buffer.alloc(5);
  head.write('E');
  head.writeInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
}
