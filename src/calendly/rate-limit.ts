import type { Clock } from '../clock.ts';
import type { Logger } from '../logger.ts';
import type { Permits } from './permits.ts';

export interface RateLimiterOptions {
  permits: Permits;
  /** How long a base rests after a 429 that does not say. */
  penaltyMs: number;
  clock: Clock;
  logger: Logger;
}

export class RateLimiter {
  readonly options: RateLimiterOptions;
  constructor(options: RateLimiterOptions) {
    this.options = options;
  }
  close(): void {}
}
