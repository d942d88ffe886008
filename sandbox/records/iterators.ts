import { ApiError } from '../api-error.ts';
import type { Clock } from '../clock.ts';
import type { Settings } from '../control/settings.ts';
import type { Ids } from '../ids.ts';

/** Listings in progress that are remembered; then the one that rested longest goes. */
export const MAX_ITERATORS = 1_000;

interface Iterator {
  /** What is listed, fixed when the listing began. */
  ids: string[];
  lastUsedAt: number;
}

/**
 * The server-side state behind `offset`: a listing fixes its ids on the first page and the offset names the iterator and
 * the next id, `itr…/rec…`. An iterator is forgotten when it rests longer than `iteratorLifetimeMs`, when the sandbox
 * restarts, or when there are too many.
 */
export class Iterators {
  private readonly iterators = new Map<string, Iterator>();

  constructor(
    private readonly clock: Clock,
    private readonly ids: Ids,
    private readonly settings: Settings,
  ) {}

  /** The first page of `ids`, and the offset of the next if there is one. */
  open(ids: string[], pageSize: number): { page: string[]; offset?: string } {
    if (ids.length <= pageSize) return { page: ids };
    const iteratorId = this.ids.next('itr');
    this.iterators.set(iteratorId, { ids, lastUsedAt: this.clock.now() });
    if (this.iterators.size > MAX_ITERATORS) {
      const oldest = this.iterators.keys().next();
      if (!oldest.done) this.iterators.delete(oldest.value);
    }
    return { page: ids.slice(0, pageSize), offset: `${iteratorId}/${ids[pageSize]}` };
  }

  /** The page that begins at `offset`. Throws 422 when the iterator is gone or the offset was never one. */
  next(offset: string, pageSize: number): { page: string[]; offset?: string } {
    const [, iteratorId, startId] = /^(itr[0-9A-Za-z]{14})\/([a-z]{3}[0-9A-Za-z]{1,40})$/.exec(offset) ?? [];
    if (iteratorId === undefined || startId === undefined) throw invalidOffset(offset);
    const iterator = this.iterators.get(iteratorId);
    const now = this.clock.now();
    this.iterators.delete(iteratorId);
    if (iterator === undefined || now - iterator.lastUsedAt > this.settings.limits.iteratorLifetimeMs) {
      throw new ApiError(422, 'LIST_RECORDS_ITERATOR_NOT_AVAILABLE');
    }
    // Put back at the end: the order of the map is the order of use.
    this.iterators.set(iteratorId, { ids: iterator.ids, lastUsedAt: now });
    const start = iterator.ids.indexOf(startId);
    if (start < 0) throw invalidOffset(offset);
    const end = start + pageSize;
    const page = iterator.ids.slice(start, end);
    return end < iterator.ids.length ? { page, offset: `${iteratorId}/${iterator.ids[end]}` } : { page };
  }

  /** Forgets all, as a restart does. */
  clear(): void {
    this.iterators.clear();
  }
}

function invalidOffset(offset: string): ApiError {
  return new ApiError(422, 'INVALID_OFFSET_VALUE', `The value of offset ${offset} is invalid`);
}
