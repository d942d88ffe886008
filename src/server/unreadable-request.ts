import { randomUUID } from 'node:crypto';
import type { Duplex } from 'node:stream';
import type { ErrorCode } from '../errors.ts';
import { lastAnswer } from './last-answer.ts';

/** What Node's parser gives up on, by the code of its error. Anything else is no HTTP at all. */
const knownFaults: Record<string, { status: string; code: ErrorCode; message: string }> = {
  HPE_HEADER_OVERFLOW: {
    status: '431 Request Header Fields Too Large',
    code: 'REQUEST_TOO_LARGE',
    message: 'The headers are larger than is read here, which is 16 kB.',
  },
  ERR_HTTP_REQUEST_TIMEOUT: {
    status: '408 Request Timeout',
    code: 'BAD_REQUEST',
    message: 'The request did not arrive whole in time.',
  },
};

/** Answers a request that never became one, in the form of every other error, and closes. */
export function answerUnreadable(error: Error & { code?: string }, socket: Duplex): void {
  // Already answered, or nobody is there to read it.
  if (!socket.writable || error.code === 'ECONNRESET' || error.code === 'EPIPE') {
    socket.destroy();
    return;
  }
  const { status, code, message } = knownFaults[error.code ?? ''] ?? {
    status: '400 Bad Request',
    code: 'BAD_REQUEST',
    message: 'This is not a request in HTTP.',
  };
  const requestId = randomUUID();
  const body = JSON.stringify({ error: { code, message, requestId } });
  lastAnswer(
    socket,
    [
      `HTTP/1.1 ${status}`,
      'Content-Type: application/json; charset=utf-8',
      `Content-Length: ${Buffer.byteLength(body)}`,
      `X-Request-Id: ${requestId}`,
      'Connection: close',
      '',
      body,
    ].join('\r\n'),
  );
}
