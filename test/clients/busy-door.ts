import { createServer, type Server } from 'node:http';
import { connect, type AddressInfo } from 'node:net';

/** Stands before a server as a proxy does, and answers the first request 429 before it lets everything through. */
export class BusyDoor {
  /** Requests by the status of their answer. */
  readonly answers = new Map<number, number>();
  /** Header values that clients sent to bound their operations. */
  readonly caps: string[] = [];

  private constructor(private readonly server: Server) {}

  static async before(targetUrl: string): Promise<BusyDoor> {
    const { port, hostname } = new URL(targetUrl);
    const server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const cap = request.headers['x-upstream-max-calls'];
        if (typeof cap === 'string') door.caps.push(cap);
        if (door.answers.size === 0) {
          door.#count(429);
          return void response.writeHead(429, { 'retry-after': '1' }).end();
        }
        // What belongs to the one connection is for fetch to say again.
        const {
          host: _host,
          connection: _connection,
          'content-length': _length,
          ...headers
        } = request.headers;
        fetch(targetUrl + (request.url ?? ''), {
          method: 'POST',
          headers: headers as Record<string, string>,
          body: Buffer.concat(chunks),
        }).then(
          async (answer) => {
            const body = Buffer.from(await answer.arrayBuffer());
            door.#count(answer.status);
            const type = answer.headers.get('content-type') ?? '';
            response.writeHead(answer.status, { 'content-type': type }).end(body);
          },
          () => response.destroy(),
        );
      });
    });
    server.on('upgrade', (request, socket, head) => {
      const target = connect(Number(port), hostname, () => {
        const lines = request.rawHeaders.map((text, index) =>
          index % 2 === 0 ? `${text}: ` : `${text}\r\n`,
        );
        target.write(`GET ${request.url ?? ''} HTTP/1.1\r\n${lines.join('')}\r\n`);
        target.write(head);
        target.pipe(socket).pipe(target);
      });
      target.on('error', () => socket.destroy());
      socket.on('error', () => target.destroy());
    });
    const door: BusyDoor = new BusyDoor(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return door;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    await new Promise((resolve) => {
      this.server.close(resolve);
      this.server.closeAllConnections();
    });
  }

  #count(status: number): void {
    this.answers.set(status, (this.answers.get(status) ?? 0) + 1);
  }
}
