import { randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { moment } from './moment.ts';
import type { Child } from './child.ts';

const operation = { text: 1, close: 8, ping: 9, pong: 10 } as const;
const fin = 0x80;
const masked = 0x80;
const longLength = 126;
const longestLength = 127;
const headEnd = Buffer.from('\r\n\r\n');
const feedPosition = Buffer.from('"FeedPosition"');

/** What a subscriber asks for. */
export interface Subscription {
  query: string;
  variables: Record<string, unknown>;
}

export interface Told {
  /** The message as it came. */
  message: Buffer;
  at: number;
}

/**
 * One graphql-ws client on a plain socket: the clients of npm take longer to receive a message than some servers take to
 * send it. It keeps the messages that bear events, and of positions the newest.
 */
export class Subscriber {
  told: Told[] = [];
  /** The newest message that told where it stands; null before it has begun. */
  position: Buffer | null = null;
  /** Called with each event. */
  onEvent: (told: Told) => void = () => undefined;
  readonly #socket: Socket;
  readonly #label: string;
  #rest: Buffer = Buffer.alloc(0);
  #upgraded = false;
  #closing = false;
  #fail: (error: Error) => void = () => undefined;
  #subscribed: () => void = () => undefined;
  readonly #subscription: Subscription;

  private constructor(label: string, { url, headers }: Child, subscription: Subscription) {
    const { host, hostname, port, pathname } = new URL(url);
    this.#label = label;
    this.#subscription = subscription;
    const socket = connect(Number(port), hostname);
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.on('error', (error) => this.#end(error));
    socket.on('close', () => this.#end(new Error('closed')));
    socket.on('data', (chunk: Buffer) => this.#hear(chunk));
    socket.write(
      `GET ${pathname} HTTP/1.1\r\nhost: ${host}\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n` +
        `sec-websocket-key: ${randomBytes(16).toString('base64')}\r\nsec-websocket-protocol: graphql-transport-ws\r\n\r\n`,
    );
    this.#send({ type: 'connection_init', payload: headers });
  }

  /** @returns once the server has acknowledged the connection and was sent the subscription. @throws Error when it ends before */
  static open(label: string, child: Child, subscription: Subscription): Promise<Subscriber> {
    return new Promise((resolve, reject) => {
      const subscriber = new Subscriber(label, child, subscription);
      subscriber.#fail = reject;
      subscriber.#subscribed = () => resolve(subscriber);
    });
  }

  close(): void {
    this.#closing = true;
    this.#socket.destroy();
  }

  #hear(chunk: Buffer): void {
    let data = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    if (!this.#upgraded) {
      const headAt = data.indexOf(headEnd);
      if (headAt === -1) return void (this.#rest = data);
      const head = data.toString('latin1', 0, headAt);
      if (!head.startsWith('HTTP/1.1 101')) return this.#end(new Error(head));
      this.#upgraded = true;
      data = data.subarray(headAt + headEnd.length);
    }
    for (;;) {
      const frame = frameAt(data);
      if (!frame) break;
      this.#take(frame.code, frame.payload);
      data = data.subarray(frame.length);
    }
    this.#rest = data;
  }

  #take(code: number, payload: Buffer): void {
    if (code === operation.ping) this.#socket.write(frameOf(operation.pong, payload));
    else if (code === operation.close)
      this.#end(new Error(`closed with ${payload.readUInt16BE(0)} ${payload.toString('utf8', 2)}`));
    else if (code === operation.text) this.#read(payload);
  }

  #read(message: Buffer): void {
    const at = moment();
    if (isNext(message)) {
      if (message.includes(feedPosition)) {
        this.position = message;
        return;
      }
      const told = { message, at };
      this.told.push(told);
      return this.onEvent(told);
    }
    const { type } = JSON.parse(message.toString('utf8')) as { type: string };
    if (type === 'connection_ack') {
      this.#send({ id: '1', type: 'subscribe', payload: this.#subscription });
      this.#subscribed();
    } else this.#end(new Error(message.toString('utf8')));
  }

  #send(message: object): void {
    this.#socket.write(frameOf(operation.text, Buffer.from(JSON.stringify(message))));
  }

  #end(error: Error): void {
    if (this.#closing) return;
    this.#closing = true;
    this.#socket.destroy();
    this.#fail(new Error(`A subscriber of ${this.#label}: ${error.message}`));
    // Nobody waits any more once it is subscribed; then what is missing is told by who counts.
    this.#fail = () => undefined;
  }
}

/** What all servers begin a message with that bears a result. */
function isNext(message: Buffer): boolean {
  return message.subarray(0, 40).includes('"type":"next"');
}

/** @returns null unless the whole frame is there. Servers do not mask, and none here cuts a message in pieces. */
function frameAt(data: Buffer): { code: number; payload: Buffer; length: number } | null {
  if (data.length < 2) return null;
  let length = data[1]!;
  let at = 2;
  if (length === longLength) {
    if (data.length < 4) return null;
    length = data.readUInt16BE(2);
    at = 4;
  } else if (length === longestLength) {
    if (data.length < 10) return null;
    length = Number(data.readBigUInt64BE(2));
    at = 10;
  }
  if (data.length < at + length) return null;
  return { code: data[0]! & 0x0f, payload: data.subarray(at, at + length), length: at + length };
}

/** A client's frame, with a mask of zeros. */
function frameOf(code: number, payload: Buffer): Buffer {
  const head =
    payload.length < longLength
      ? Buffer.from([fin | code, masked | payload.length])
      : Buffer.from([fin | code, masked | longLength, payload.length >> 8, payload.length & 0xff]);
  return Buffer.concat([head, Buffer.alloc(4), payload]);
}
