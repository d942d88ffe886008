import { AppError } from '../errors.ts';

/** How often one listing, on behalf of one request, starts again after its iterator has died at the upstream. */
export const maxRestarts = 3;

export interface Page<Item> {
  items: Item[];
  offset: string | null;
}

/**
 * Reads a listing to its end. An iterator is state of the upstream that dies when left alone or on a restart there; then
 * the listing begins anew, since what was read so far may belong to another order. An item that moved between two pages
 * while we read, and so came twice, is kept once, as it came last.
 * @throws AppError TOO_MANY beyond `maxItems`; CURSOR_EXPIRED when the iterator dies again and again.
 */
export async function readAllPages<Item>(listing: {
  readPage: (offset: string | null) => Promise<Page<Item>>;
  keyOf: (item: Item) => string;
  maxItems: number;
}): Promise<Item[]> {
  return withRestarts(() => readOnce(listing), hasExpired);
}

export function hasExpired(error: unknown): error is AppError {
  return error instanceof AppError && error.code === 'CURSOR_EXPIRED';
}

/** Reads a listing anew while `mayRestart` says so of its failure. @param read gets how often it was begun before */
export async function withRestarts<T>(
  read: (restarts: number) => Promise<T>,
  mayRestart: (error: unknown) => boolean,
): Promise<T> {
  for (let restarts = 0; ; restarts += 1) {
    try {
      return await read(restarts);
    } catch (error) {
      if (restarts >= maxRestarts || !mayRestart(error)) throw error;
    }
  }
}

/** The offsets of one walk over pages, none of which may come twice. */
export class OffsetTrail {
  readonly #seen = new Set<string>();

  /** @throws AppError UPSTREAM_UNREADABLE when the walk was there before */
  step(offset: string): string {
    if (this.#seen.has(offset)) {
      throw new AppError(
        'UPSTREAM_UNREADABLE',
        'The upstream hands out the same page over and over. Try again later.',
      );
    }
    this.#seen.add(offset);
    return offset;
  }
}

async function readOnce<Item>({
  readPage,
  keyOf,
  maxItems,
}: Parameters<typeof readAllPages<Item>>[0]): Promise<Item[]> {
  const items = new Map<string, Item>();
  const trail = new OffsetTrail();
  for (let offset: string | null = null; ;) {
    const page: Page<Item> = await readPage(offset);
    for (const item of page.items) items.set(keyOf(item), item);
    if (items.size > maxItems) {
      throw new AppError(
        'TOO_MANY',
        `The upstream lists more than the ${maxItems} entries that are read at most.`,
        {
          details: { max: maxItems },
        },
      );
    }
    if (page.offset === null) return [...items.values()];
    offset = trail.step(page.offset);
  }
}
