/** The sandbox's own time: the machine's clock plus an offset that only ever grows, so leases and tokens can be aged in a test. */
export class Clock {
  private offsetMs = 0;

  /** Milliseconds since the epoch. */
  now(): number {
    return Date.now() + this.offsetMs;
  }

  /** The present time as the upstream writes it: ISO-8601, UTC, milliseconds. */
  iso(): string {
    return new Date(this.now()).toISOString();
  }

  /** Moves the clock forward by `ms` (>= 0). Timers of the machine do not move with it. */
  advance(ms: number): void {
    if (!Number.isFinite(ms) || ms < 0)
      throw new RangeError('The clock only goes forward: advance by >= 0 ms');
    this.offsetMs += ms;
  }
}
