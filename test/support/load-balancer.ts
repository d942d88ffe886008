import { createServer, connect, type AddressInfo, type Server, type Socket } from 'node:net';

/** A TCP load balancer: each connection goes to the next of its servers that takes it, and ends with that server. */
export class LoadBalancer {
  /** Where connections go to. */
  ports: number[] = [];
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #turn = 0;
  #host = '';

  private constructor() {
    this.#server = createServer((client) => {
      this.#keep(client);
      this.#turn += 1;
      this.#pass(client, rotated(this.ports, this.#turn));
    });
  }

  static async start(host = 'localhost'): Promise<LoadBalancer> {
    const balancer = new LoadBalancer();
    balancer.#host = host;
    await new Promise<void>((resolve) => balancer.#server.listen(0, host, resolve));
    return balancer;
  }

  get url(): string {
    return `http://${this.#host}:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Cuts every connection, without a goodbye. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.cut();
    await closed;
  }

  #pass(client: Socket, [port, ...others]: number[]): void {
    if (port === undefined) return void client.destroy();
    const target = connect(port, 'localhost');
    const refused = (): void => this.#pass(client, others);
    target.once('error', refused);
    target.once('connect', () => {
      target.off('error', refused);
      this.#keep(target);
      client.on('close', () => target.destroy());
      target.on('close', () => client.destroy());
      if (client.destroyed) return void target.destroy();
      client.pipe(target);
      target.pipe(client);
    });
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => this.#sockets.delete(socket));
  }
}

function rotated(ports: readonly number[], by: number): number[] {
  const start = by % Math.max(1, ports.length);
  return [...ports.slice(start), ...ports.slice(0, start)];
}
