import { elapsed, type Clock } from '../clock.ts';

/** So many wrong keys within the window stop an address for the rest of it. */
const maxWrongKeys = 20;
const windowMs = 60_000;

/** Addresses that are counted; beyond it the one that began first is forgotten. */
const maxAddresses = 10_000;

/**
 * Counts wrong keys by the address that they came from. The window of an address begins with its first wrong key and
 * ends a minute later, whatever came in between; what is sent while it is stopped is not even looked at.
 */
export class WrongKeys {
  readonly #clock: Clock;
  readonly #onCounted: () => void;
  /** In the order in which the windows began. */
  readonly #windows = new Map<string, { since: number; count: number }>();

  /** @param onCounted Told of each wrong key that was tried. */
  constructor(clock: Clock, onCounted: () => void = () => undefined) {
    this.#clock = clock;
    this.#onCounted = onCounted;
  }

  /** For how many milliseconds no more keys are tried for the address; 0 when one may be tried now. */
  stoppedForMs(address: string): number {
    const window = this.#windows.get(networkOf(address));
    if (!window || window.count < maxWrongKeys) return 0;
    return Math.max(0, window.since + windowMs - elapsed(this.#clock));
  }

  /** @returns whether it is this one that stops the address. */
  count(address: string): boolean {
    this.#onCounted();
    const network = networkOf(address);
    const now = elapsed(this.#clock);
    const window = this.#windows.get(network);
    if (window && now < window.since + windowMs) {
      window.count += 1;
      return window.count === maxWrongKeys;
    }
    this.#windows.delete(network);
    this.#windows.set(network, { since: now, count: 1 });
    for (const oldest of this.#windows.keys()) {
      if (this.#windows.size <= maxAddresses) break;
      this.#windows.delete(oldest);
    }
    return false;
  }
}

/** One subscriber of an IPv6 network has 2^64 addresses, so its first four groups count as one. */
export function networkOf(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address);
  if (mapped?.[1]) return mapped[1];
  if (!address.includes(':')) return address;
  const [head = '', tail] = address.replace(/%.*$/, '').split('::');
  const groups = head.split(':').filter(Boolean);
  const behind = (tail ?? '').split(':').filter(Boolean);
  // "::" stands for as many groups of zeros as are missing.
  while (tail !== undefined && groups.length + behind.length < 8) groups.push('0');
  return [...groups, ...behind]
    .slice(0, 4)
    .map((group) => parseInt(group, 16).toString(16))
    .join(':');
}
