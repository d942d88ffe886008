import type { IncomingHttpHeaders } from 'node:http';
import type { Dispatcher } from 'undici';

/** The upstream documents no limit; a page of a hundred records with long texts stays far below. */
export const maxAnswerBytes = 25 * 1024 * 1024;

/** An answer as it came, not judged yet. */
export interface RawAnswer {
  status: number;
  headers: IncomingHttpHeaders;
  body: string;
}

/**
 * Why there is no answer: `stale` it was not allowed to leave any more · `unsent` it could not leave · `lost` it left and
 * no complete answer came · `oversized` the answer is longer than we read · `aborted` by the caller.
 */
export type NoAnswer = 'stale' | 'unsent' | 'lost' | 'oversized' | 'aborted';

export class AttemptFailed extends Error {
  readonly reason: NoAnswer;
  readonly timedOut: boolean;
  constructor(reason: NoAnswer, message: string, options: { cause?: unknown; timedOut?: boolean } = {}) {
    super(message, { cause: options.cause });
    this.name = 'AttemptFailed';
    this.reason = reason;
    this.timedOut = options.timedOut ?? false;
  }
}

export interface OutgoingRequest {
  origin: string;
  path: string;
  method: Dispatcher.HttpMethod;
  headers: Record<string, string>;
  body: string | null;
  /** For the whole of it: connecting, sending, the last byte of the answer. */
  timeoutMs: number;
  signal?: AbortSignal | undefined;
  /** Whether the signal still counts once the request has left. A write is then waited for, to know what it did. */
  abortableAfterSending: boolean;
  /** Asked once the connection stands, in the moment of sending; false keeps the request from leaving. */
  maySend: () => boolean;
}

/**
 * One attempt: asks, and does not judge.
 * @throws AttemptFailed, nothing else
 */
export function sendOnce(dispatcher: Dispatcher, request: OutgoingRequest): Promise<RawAnswer> {
  return new Promise((resolve, reject) => {
    const { signal } = request;
    let controller: Dispatcher.DispatchController | null = null;
    let settled = false;
    const settle = (): boolean => {
      if (settled) return false;
      settled = true;
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
      return true;
    };
    const fail = (failure: AttemptFailed): void => {
      if (!settle()) return;
      reject(failure);
      controller?.abort(failure);
    };
    const oversized = (): void => fail(new AttemptFailed('oversized', `More than ${maxAnswerBytes} bytes`));
    const onAbort = (): void => {
      if (controller === null || request.abortableAfterSending)
        fail(new AttemptFailed('aborted', 'The caller has left'));
    };
    const timer = setTimeout(() => {
      const reason = controller ? 'lost' : 'unsent';
      fail(new AttemptFailed(reason, `No answer within ${request.timeoutMs} ms`, { timedOut: true }));
    }, request.timeoutMs);
    signal?.addEventListener('abort', onAbort, { once: true });
    if (signal?.aborted) onAbort();

    const chunks: Buffer[] = [];
    let bytes = 0;
    let status = 0;
    let headers: IncomingHttpHeaders = {};
    dispatcher.dispatch(
      {
        origin: request.origin,
        path: request.path,
        method: request.method,
        headers: request.headers,
        body: request.body,
        // Set by hand, since an unsent request has to be told from a lost one.
        headersTimeout: 0,
        bodyTimeout: 0,
      },
      {
        onRequestStart(started) {
          // Thrown here, before the first byte, it keeps the connection alive for the next.
          if (settled || !request.maySend())
            throw new AttemptFailed('stale', 'The permission to send has lapsed');
          controller = started;
        },
        onResponseStart(_, statusCode, answerHeaders) {
          status = statusCode;
          headers = answerHeaders;
          // Nobody waits for what is announced and will not be read.
          if (Number(headers['content-length']) > maxAnswerBytes) oversized();
        },
        onResponseData(_, chunk) {
          bytes += chunk.length;
          if (bytes > maxAnswerBytes) oversized();
          else if (!settled) chunks.push(chunk);
        },
        onResponseEnd() {
          if (settle()) resolve({ status, headers, body: Buffer.concat(chunks).toString('utf8') });
        },
        onResponseError(_, error) {
          if (error instanceof AttemptFailed) fail(error);
          else fail(new AttemptFailed(controller ? 'lost' : 'unsent', error.message, { cause: error }));
        },
      },
    );
  });
}
