import type { IncomingMessage } from 'node:http';
import { AppError } from '../errors.ts';

/**
 * Reads a request's body, counting while it comes. What is announced or turns out larger than the limit is not kept.
 * @throws AppError REQUEST_TOO_LARGE
 */
export function readBody(request: IncomingMessage, maxBytes: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    if (Number(request.headers['content-length'] ?? 0) > maxBytes) return reject(tooLarge(maxBytes));
    const chunks: Buffer[] = [];
    let size = 0;
    request
      .on('data', (chunk: Buffer) => {
        size += chunk.length;
        if (size <= maxBytes) chunks.push(chunk);
        else reject(tooLarge(maxBytes));
      })
      .on('end', () => resolve(chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks)))
      .on('error', reject)
      .on('close', () => {
        if (!request.readableEnded) reject(new Error('The sender left in the middle of the body.'));
      });
  });
}

function tooLarge(maxBytes: number): AppError {
  return new AppError(
    'REQUEST_TOO_LARGE',
    `The body is larger than ${maxBytes} bytes, the most that is read here.`,
    { details: { maxBytes } },
  );
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
