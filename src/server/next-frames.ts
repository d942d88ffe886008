/** RFC 6455, section 5.2: a whole message of text, not masked. */
const wholeText = 0x81;
/** Lengths up to this one stand in the second byte; for longer ones it says how many bytes they take themselves. */
const maxShortLength = 125;
const twoBytesFollow = 126;
const eightBytesFollow = 127;
const maxTwoByteLength = 65_535;

const messageEnd = Buffer.from('}');

/**
 * WebSocket frames of graphql-ws that bear results. One result mostly goes to many operations in a row, so it is encoded
 * once; and operations with the same id, as of clients that count theirs, get the same frame.
 */
export class NextFrames {
  #result = '';
  #encoded = Buffer.alloc(0);
  #operationId = '';
  #frame: Buffer | null = null;

  /** @param result as JSON  @param operationId as the client chose it */
  frame(result: string, operationId: string): Buffer {
    if (result !== this.#result) {
      this.#result = result;
      this.#encoded = Buffer.from(result);
      this.#frame = null;
    }
    if (this.#frame === null || operationId !== this.#operationId) {
      this.#operationId = operationId;
      const start = Buffer.from(`{"id":${JSON.stringify(operationId)},"type":"next","payload":`);
      this.#frame = framed([start, this.#encoded, messageEnd]);
    }
    return this.#frame;
  }
}

function framed(parts: readonly Buffer[]): Buffer {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  return Buffer.concat([head(length), ...parts]);
}

function head(length: number): Buffer {
  if (length <= maxShortLength) return Buffer.from([wholeText, length]);
  if (length <= maxTwoByteLength) return Buffer.from([wholeText, twoBytesFollow, length >> 8, length & 0xff]);
  const bytes = Buffer.alloc(10);
  bytes.set([wholeText, eightBytesFollow]);
  bytes.writeBigUInt64BE(BigInt(length), 2);
  return bytes;
}
