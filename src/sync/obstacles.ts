import { AppError } from '../errors.ts';
import { NotYet, type SyncLease } from './sync-lease.ts';

/** Where the work on a sync can be held up without ending. */
type Place = 'work' | 'changes' | 'fields' | 'reading' | 'sending';

/** Longest text that is kept, in characters. */
const maxCharacters = 1_000;

/** What keeps the work on one sync from going on at the moment, told by its row for as long as it lasts. */
export class Obstacles {
  readonly #lease: SyncLease;
  readonly #texts = new Map<Place, string>();
  /** As far as known; whoever worked at the sync before may have left something. */
  #told: string | null | undefined;
  #last: Promise<unknown> = Promise.resolve();

  constructor(lease: SyncLease) {
    this.#lease = lease;
  }

  /** @param text null when there is nothing any more */
  note(place: Place, text: string | null): Promise<void> {
    if (text === null) this.#texts.delete(place);
    else this.#texts.set(place, text);
    const told = this.#last.then(() => this.#tell());
    this.#last = told.catch(() => undefined);
    return told;
  }

  /** One after the other, so that the last word stands. */
  async #tell(): Promise<void> {
    const whole = [...new Set(this.#texts.values())].join(' ').slice(0, maxCharacters) || null;
    if (whole === this.#told) return;
    const { id, number, sql } = this.#lease;
    await sql.query(
      `UPDATE syncs SET waits_for = $2 WHERE id = $1 AND lease_number = $3 AND state <> 'paused' AND waits_for IS DISTINCT FROM $2`,
      [id, whole, number],
    );
    this.#told = whole;
  }
}

/** One failure may pass before anybody reads of it. */
export const failuresUntilTold = 2;

/** A failure in words that are fit for people. */
export function inWords(error: unknown): string {
  return error instanceof AppError || error instanceof NotYet
    ? error.message
    : 'Something failed that should not have; the log of the server has more. It is tried again.';
}
