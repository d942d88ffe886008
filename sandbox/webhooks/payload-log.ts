import type { Clock } from '../clock.ts';
import type { Settings } from '../control/settings.ts';
import type { Collection } from '../state/collection.ts';
import type { State } from '../state/state.ts';
import type { Payload } from './payload.ts';

interface StoredPayload {
  number: number;
  /** ms; when it was written, which its retention counts from. */
  at: number;
  payload: Payload;
}

export interface PayloadPage {
  payloads: Payload[];
  /** The number right after the last payload given, or the one asked for if there is none. */
  cursor: number;
  mightHaveMore: boolean;
}

/** Payloads kept of one webhook, read or not; then the oldest go, as they do after their retention. */
const MAX_PAYLOADS = 20_000;

/** The payloads of the webhooks, each with a number that rises by one and is never used again. */
export class PayloadLog {
  constructor(
    private readonly state: State,
    private readonly clock: Clock,
    private readonly settings: Settings,
  ) {}

  append(webhookId: string, number: number, payload: Payload): void {
    const log = this.#of(webhookId);
    log.put(String(number), { number, at: this.clock.now(), payload });
    this.#dropOld(log);
  }

  /** Up to `limit` payloads whose number is `cursor` or higher. */
  read(webhookId: string, cursor: number, limit: number): PayloadPage {
    const log = this.#of(webhookId);
    this.#dropOld(log);
    const oldest = log.values().next();
    const payloads: Payload[] = [];
    if (oldest.done) return { payloads, cursor, mightHaveMore: false };
    const end = oldest.value.number + log.size;
    let next = Math.max(cursor, oldest.value.number);
    for (; next < end && payloads.length < limit; next += 1) {
      const stored = log.get(String(next));
      if (stored) payloads.push(stored.payload);
    }
    return { payloads, cursor: payloads.length > 0 ? next : cursor, mightHaveMore: next < end };
  }

  delete(webhookId: string): void {
    this.#of(webhookId).clear();
  }

  #of(webhookId: string): Collection<StoredPayload> {
    return this.state.collection(`webhookPayloads/${webhookId}`);
  }

  /** Numbers are dense and in order of their time, so the old ones stand in front. */
  #dropOld(log: Collection<StoredPayload>): void {
    const horizon = this.clock.now() - this.settings.limits.payloadRetentionMs;
    for (const stored of log.values()) {
      if (stored.at > horizon && log.size <= MAX_PAYLOADS) return;
      log.delete(String(stored.number));
    }
  }
}
