import { AppError } from '../errors.ts';

/** How often one listing starts again after its iterator has died at the upstream. */
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
  for (let restarts = 0; ; restarts += 1) {
    try {
      return await readOnce(listing);
    } catch (error) {
      if (restarts >= maxRestarts || !(error instanceof AppError) || error.code !== 'CURSOR_EXPIRED')
        throw error;
    }
  }
}

async function readOnce<Item>({
  readPage,
  keyOf,
  maxItems,
}: Parameters<typeof readAllPages<Item>>[0]): Promise<Item[]> {
  const items = new Map<string, Item>();
  const seen = new Set<string>();
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
    if (seen.has(page.offset)) {
      throw new AppError(
        'UPSTREAM_UNREADABLE',
        'The upstream hands out the same page over and over. Try again later.',
      );
    }
    seen.add(page.offset);
    offset = page.offset;
  }
}
