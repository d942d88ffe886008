import type { IncomingMessage, ServerResponse } from 'node:http';
import { send } from './reply.ts';

/**
 * Sends what the GraphQL pipeline answered: whole, or as a stream of events.
 * @param closing A stream is cut when the server closes. Its client takes that for a broken connection and comes back,
 *   whereas a proper end would tell it that there is nothing more to come.
 */
export async function sendAnswer(
  answer: Response,
  request: IncomingMessage,
  response: ServerResponse,
  closing: AbortSignal,
): Promise<void> {
  const headers = {
    'X-Content-Type-Options': 'nosniff',
    Vary: 'Origin, Accept',
    ...Object.fromEntries(answer.headers),
  };
  const isStream = /text\/event-stream|multipart\/mixed/.test(answer.headers.get('content-type') ?? '');
  if (!isStream || !answer.body) {
    const body = request.method === 'HEAD' ? '' : await answer.text();
    send(response, { status: answer.status, headers, body });
    return;
  }
  if (response.destroyed) {
    await answer.body.cancel();
    return;
  }
  response.writeHead(answer.status, { ...headers, 'X-Accel-Buffering': 'no' });
  response.flushHeaders();
  const reader = answer.body.getReader() as ReadableStreamDefaultReader<Uint8Array | string>;
  const cut = () => response.destroy();
  closing.addEventListener('abort', cut);
  response.once('close', () => {
    closing.removeEventListener('abort', cut);
    reader.cancel().catch(() => undefined);
  });
  try {
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      // The next event is only asked for when this one has left: the feed, not the socket, does the buffering.
      if (!response.write(part.value)) await drained(response);
      if (response.destroyed) break;
    }
  } finally {
    response.end();
  }
}

function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      response.off('drain', done);
      response.off('close', done);
      resolve();
    };
    response.once('drain', done);
    response.once('close', done);
  });
}
