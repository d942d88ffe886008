import { expect, test } from '@jest/globals';
import type { RecordQuery } from '../../src/records/record-cursor.ts';
import { listRecords } from '../../src/records/record-listing.ts';

const query: RecordQuery = {
  connectionId: 1,
  baseId: 'app1',
  tableId: 'tbl1',
  formula: null,
  tests: [],
  sort: [],
  view: null,
};

test.each([[['a', 'a']], [['a', 'b']]])(
  'an upstream whose offsets lead in the circle %j is given up',
  async (circle) => {
    let pages = 0;
    const listing = listRecords({
      query,
      first: 1_000,
      after: null,
      readPage: () => {
        if ((pages += 1) > 20) throw new Error('walked on');
        return Promise.resolve({ records: [], offset: circle[pages % 2]! });
      },
    });
    await expect(listing).rejects.toMatchObject({ code: 'UPSTREAM_UNREADABLE' });
    expect(pages).toBe(new Set(circle).size + 1);
  },
);
