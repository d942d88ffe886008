import type { IncomingMessage } from 'node:http';
import { AppError } from '../errors.ts';

/**
 * Reads a request's body, counting while it comes. What is announced or turns out larger than the limit is not kept.
 * @throws AppError REQUEST_TOO_LARGE
 */
export async function readBody(request: IncomingMessage, maxBytes: number): Promise<Buffer> {
  const tooLarge = () =>
    new AppError(
      'REQUEST_TOO_LARGE',
      `The body is larger than ${maxBytes} bytes, the most that is read here.`,
      { details: { maxBytes } },
    );
  if (Number(request.headers['content-length'] ?? 0) > maxBytes) throw tooLarge();
  const chunks: Buffer[] = [];
  let size = 0;
  // Leaving the loop early must not tear the connection down: the sender is still to read why.
  for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > maxBytes) throw tooLarge();
    chunks.push(chunk);
  }
  return chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks, size);
}

/** Most bytes of a refused body that are taken in and thrown away. */
const maxDiscardedBytes = 25_000_000;

/**
 * Takes in what is left of a body that nobody will read. Most senders look for the answer only when they have sent
 * everything; closing on them earlier would lose it. Who goes on and on is cut off.
 */
export function discardRest(request: IncomingMessage): void {
  let left = maxDiscardedBytes;
  request.on('data', (chunk: Buffer) => {
    left -= chunk.length;
    if (left < 0) request.socket.destroy();
  });
  // Marks the body as wanted at once. One that nobody has begun to read, Node would discard itself, without end.
  request.read(0);
  request.resume();
}
