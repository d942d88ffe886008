import { request } from 'node:http';
import type { Child } from './child.ts';

/** From one answer to the next question, in milliseconds. */
const pauseMs = 5;

/** Asks again and again. @returns ends it, with the time that each answer took, in milliseconds, shortest first */
export function askMeanwhile(child: Child, query: string): () => Promise<number[]> {
  const took: number[] = [];
  let isOver = false;
  const asking = (async () => {
    while (!isOver) {
      took.push(await ask(child, query));
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
  })();
  // Whoever ends it is told what went wrong.
  asking.catch(() => undefined);
  return async () => {
    isOver = true;
    await asking;
    return took.sort((a, b) => a - b);
  };
}

/** @returns how long an answer took, in milliseconds */
function ask({ url, headers }: Pick<Child, 'url' | 'headers'>, query: string): Promise<number> {
  const body = JSON.stringify({ query });
  const askedAt = performance.now();
  return new Promise((resolve, reject) => {
    const asked = request(url, {
      method: 'POST',
      headers: { ...headers, 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) },
    });
    asked.once('error', (error) => {
      // The server may close an idle connection in the moment in which it is taken for the next question.
      const isStale = asked.reusedSocket && 'code' in error && error.code === 'ECONNRESET';
      if (!isStale) return reject(error);
      ask({ url, headers }, query).then(() => resolve(performance.now() - askedAt), reject);
    });
    asked.once('response', (response) => {
      if (response.statusCode !== 200) reject(new Error(`A query was answered with ${response.statusCode}`));
      response.resume().once('end', () => resolve(performance.now() - askedAt));
    });
    asked.end(body);
  });
}
