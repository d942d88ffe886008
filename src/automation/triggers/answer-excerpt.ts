import type { Readable } from 'node:stream';

/** What is read of an answer, in bytes; one that ends within it leaves its socket for the next delivery. */
const maxReadBytes = 65_536;
/** What is kept of it for people, in characters. */
export const maxExcerptCharacters = 1_024;

/**
 * The beginning of an answer as text; what cannot be shown becomes U+FFFD. Reads up to a bound and for a bounded time,
 * and never fails: an answer that breaks off is as long as it came.
 */
export async function excerptOf(body: Readable, timeoutMs: number): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  const timer = setTimeout(() => body.destroy(), timeoutMs);
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      chunks.push(chunk);
      length += chunk.length;
      if (length >= maxReadBytes) break;
    }
  } catch {
    // As long as it came.
  } finally {
    clearTimeout(timer);
  }
  const text = Buffer.concat(chunks)
    .subarray(0, 4 * maxExcerptCharacters)
    .toString('utf8');
  return text.replace(/[^\P{C}\n\t]/gu, '\ufffd').slice(0, maxExcerptCharacters);
}
