import type { IncomingMessage } from 'node:http';

/** The upstream publishes no limit; an upload of 5 MB in base64 has to fit. */
export const MAX_BODY_BYTES = 20 * 1024 * 1024;

export class BodyTooLarge extends Error {
  constructor() {
    super(`The request body has more than ${MAX_BODY_BYTES} bytes`);
    this.name = 'BodyTooLarge';
  }
}

/** The whole body. Rejects with BodyTooLarge as soon as it is known, and when the client goes away. */
export async function readBody(request: IncomingMessage): Promise<Buffer> {
  if (Number(request.headers['content-length'] ?? 0) > MAX_BODY_BYTES) throw new BodyTooLarge();
  const chunks: Buffer[] = [];
  let bytes = 0;
  // Not `for await`: leaving that loop early would destroy the socket before the 413 is out.
  return new Promise((resolve, reject) => {
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes <= MAX_BODY_BYTES) chunks.push(chunk);
      else {
        request.pause();
        reject(new BodyTooLarge());
      }
    });
    request.once('end', () => resolve(Buffer.concat(chunks)));
    request.once('error', reject);
    request.once('close', () => reject(new Error('The client went away')));
  });
}
