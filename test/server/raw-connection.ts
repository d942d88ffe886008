import { connect, type Socket } from 'node:net';

export interface RawAnswer {
  status: number;
  headers: Record<string, string>;
  body: string;
}

/** A bare TCP connection, for requests that no well-behaved client would send. */
export class RawConnection {
  readonly socket: Socket;
  #received = Buffer.alloc(0);
  #closed = false;
  #wake: () => void = () => undefined;

  constructor(url: string) {
    const { hostname, port } = new URL(url);
    this.socket = connect(Number(port), hostname);
    this.socket.on('data', (part) => {
      this.#received = Buffer.concat([this.#received, part]);
      this.#wake();
    });
    this.socket.on('error', () => undefined);
    this.socket.on('close', () => {
      this.#closed = true;
      this.#wake();
    });
  }

  /** Resolves when the bytes have left, or the connection has ended. */
  async send(data: string | Buffer): Promise<void> {
    if (this.#closed) return;
    // The callback of a write that the end of the connection overtakes is called with an error.
    await new Promise<void>((resolve) => this.socket.write(data, () => resolve()));
  }

  /** The next answer on this connection. @throws when the connection ends before it is complete */
  async answer(): Promise<RawAnswer> {
    for (;;) {
      const end = this.#received.indexOf('\r\n\r\n');
      if (end !== -1) {
        const [first = '', ...lines] = this.#received.subarray(0, end).toString('latin1').split('\r\n');
        const headers = Object.fromEntries(
          lines.map((line) => {
            const colon = line.indexOf(':');
            return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
          }),
        );
        const bodyEnd = end + 4 + Number(headers['content-length'] ?? 0);
        if (this.#received.length >= bodyEnd) {
          const body = this.#received.subarray(end + 4, bodyEnd).toString('utf8');
          this.#received = this.#received.subarray(bodyEnd);
          return { status: Number(first.split(' ')[1]), headers, body };
        }
      }
      if (this.#closed) throw new Error('The connection ended without an answer.');
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  /** Resolves when the other side has closed. */
  async closed(): Promise<void> {
    while (!this.#closed) await new Promise<void>((resolve) => (this.#wake = resolve));
  }

  close(): void {
    this.socket.destroy();
  }
}
