import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Clock } from '../clock.ts';
import { watchProgress } from './progress-watch.ts';
import { send } from './reply.ts';

/**
 * Sends what the GraphQL pipeline answered: whole, or as a stream of events. A stream is cut when the server closes, when
 * its client takes nothing any more, and when it fails: the client takes that for a broken connection and comes back,
 * whereas a proper end would tell it that there is nothing more to come.
 * @param streams `onStalled` is told of a client that took nothing.
 */
export async function sendAnswer(
  answer: Response,
  request: IncomingMessage,
  response: ServerResponse,
  streams: { closing: AbortSignal; clock: Clock; onStalled: () => void },
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
  streams.closing.addEventListener('abort', cut);
  response.once('close', () => {
    streams.closing.removeEventListener('abort', cut);
    reader.cancel().catch(() => undefined);
  });
  if (streams.closing.aborted) cut();
  const drained = async (): Promise<void> => {
    const unwatch = watchProgress(
      () => response.writableLength,
      streams.clock,
      () => {
        streams.onStalled();
        cut();
      },
    );
    await drainedOrClosed(response);
    unwatch();
  };
  try {
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      if (response.destroyed) return;
      // The next event is only asked for when this one has left: the feed, not the socket, does the buffering.
      if (!response.write(part.value)) await drained();
    }
    response.end();
  } catch (error) {
    cut();
    throw error;
  }
}

function drainedOrClosed(response: ServerResponse): Promise<void> {
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
