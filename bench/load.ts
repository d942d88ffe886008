import { connect, type Socket } from 'node:net';

/** One server's share of a scenario: what each connection sends, again and again. */
export interface Target {
  url: string;
  headers: Record<string, string>;
  /** Request bodies, dealt out to the connections in turn. */
  bodies: string[];
}

export interface Round {
  requestsPerSecond: number;
  /** Milliseconds of every answered request. */
  latencies: number[];
  /** Processor time of the load itself, 1 being a whole core. */
  loadShare: number;
}

const headEnd = Buffer.from('\r\n\r\n');
const chunkedEnd = '\r\n0\r\n\r\n';

/**
 * Keeps `connections` sockets busy for `ms`, one request at a time on each. Written on plain sockets because the clients of
 * npm take several times what node:http takes to answer, and would be what is measured.
 * @throws Error when an answer is not 200 or has GraphQL errors
 */
export async function load(target: Target, connections: number, ms: number): Promise<Round> {
  const latencies: number[] = [];
  const cpu = process.cpuUsage();
  const startedAt = performance.now();
  const until = startedAt + ms;
  const requests = target.bodies.map((body) => requestOf(target, body));
  await Promise.all(
    Array.from({ length: connections }, (_, index) =>
      keepBusy(target, requests[index % requests.length]!, until, latencies),
    ),
  );
  const tookMs = performance.now() - startedAt;
  const { user, system } = process.cpuUsage(cpu);
  return {
    requestsPerSecond: latencies.length / (tookMs / 1_000),
    latencies,
    loadShare: (user + system) / 1_000 / tookMs,
  };
}

function requestOf({ url, headers }: Target, body: string): Buffer {
  const { host, pathname } = new URL(url);
  const lines = Object.entries({
    host,
    'content-type': 'application/json',
    accept: 'application/json',
    'content-length': String(Buffer.byteLength(body)),
    ...headers,
  }).map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.from(`POST ${pathname} HTTP/1.1\r\n${lines.join('')}\r\n${body}`);
}

function keepBusy({ url }: Target, request: Buffer, until: number, latencies: number[]): Promise<void> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    let sentAt = 0;
    let answers = 0;
    let length = -1;
    let bodyAt = 0;
    let received = 0;
    let chunks: Buffer[] = [];
    const socket: Socket = connect(Number(port), hostname);
    socket.setNoDelay(true);
    const fail = (error: Error): void => {
      socket.destroy();
      reject(error);
    };
    const send = (): void => {
      sentAt = performance.now();
      length = -1;
      received = 0;
      chunks = [];
      socket.write(request);
    };
    socket.on('error', fail);
    socket.on('close', () => fail(new Error(`${url} closed a connection`)));
    socket.on('connect', send);
    socket.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      received += chunk.length;
      if (length === -1) {
        const start = chunks.length === 1 ? chunk : Buffer.concat(chunks);
        const headAt = start.indexOf(headEnd);
        if (headAt === -1) return;
        bodyAt = headAt + headEnd.length;
        length = bodyLength(start.toString('latin1', 0, headAt));
      }
      const isWhole =
        length >= 0
          ? received >= bodyAt + length
          : received > chunkedEnd.length &&
            chunk.subarray(-chunkedEnd.length).toString('latin1') === chunkedEnd;
      if (!isWhole) return;
      const now = performance.now();
      latencies.push(now - sentAt);
      // Looking into every answer would cost more than some servers take to give it.
      if (answers++ % 50 === 0) {
        const fault = faultOf(Buffer.concat(chunks).toString('utf8'));
        if (fault !== null) return fail(new Error(`${url} answered ${fault}`));
      }
      if (now < until) return send();
      resolve();
      socket.destroy();
    });
  });
}

/** @returns -2 for an answer in chunks. */
function bodyLength(head: string): number {
  const announced = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1];
  return announced === undefined ? -2 : Number(announced);
}

function faultOf(answer: string): string | null {
  return answer.startsWith('HTTP/1.1 200') && !answer.includes('"errors":') ? null : answer.slice(0, 1_000);
}
