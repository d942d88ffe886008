import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

/** What PostgreSQL ends an answer with once the statement is committed: ReadyForQuery, outside of a transaction. */
const readyForQuery = Buffer.from('Z\0\0\0\x05I', 'latin1');

/** Stands before PostgreSQL, and loses answers to statements that were carried out, with the connection that they came by. */
export class AnswerLoss {
  /** How many answers were lost. */
  lost = 0;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #statement: string | null = null;

  private constructor(private readonly target: URL) {
    this.#server = createServer((client) => this.#pass(client));
  }

  static async before(databaseUrl: string): Promise<AnswerLoss> {
    const proxy = new AnswerLoss(new URL(databaseUrl));
    await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve));
    return proxy;
  }

  get url(): string {
    const url = new URL(this.target);
    url.host = `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
    return url.href;
  }

  /** @param statement a piece of it; the next one that has it is answered by nobody */
  loseNext(statement: string): void {
    this.#statement = statement;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #pass(client: Socket): void {
    const database = connect(Number(this.target.port || 5432), this.target.hostname);
    let isLost = false;
    for (const [socket, other] of [
      [client, database],
      [database, client],
    ] as const) {
      this.#sockets.add(socket);
      socket.on('error', () => socket.destroy());
      socket.on('close', () => {
        this.#sockets.delete(socket);
        other.destroy();
      });
    }
    client.on('data', (chunk) => {
      if (this.#statement !== null && chunk.includes(this.#statement)) {
        isLost = true;
        this.#statement = null;
      }
      database.write(chunk);
    });
    database.on('data', (chunk) => {
      if (!isLost) return void client.write(chunk);
      if (chunk.subarray(-readyForQuery.length).equals(readyForQuery)) {
        this.lost += 1;
        database.destroy();
      }
    });
  }
}
