import type { Clock } from '../clock.ts';
import type { Logger } from '../logger.ts';
import type { Operation } from './operation.ts';
import type { RateLimiter } from './rate-limit.ts';
import type { TokenSource } from './tokens.ts';
import type { UpstreamCall } from './upstream-call.ts';

export interface TransportOptions {
  /** The upstream's address, without `/v0`. */
  apiUrl: string;
  rateLimit: RateLimiter;
  logger: Logger;
  clock: Clock;
}

export class Transport {
  readonly options: TransportOptions;
  constructor(options: TransportOptions) {
    this.options = options;
  }

  send<Answer>(call: UpstreamCall<Answer>, tokens: TokenSource, operation: Operation): Promise<Answer> {
    return Promise.reject(new Error(`${call.name} ${tokens.connectionId} ${operation.callerId}`));
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
