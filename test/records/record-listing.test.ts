import { expect, test } from '@jest/globals';
import { maxAnswerBytes } from '../../src/calendly/request.ts';
import { AppError } from '../../src/errors.ts';
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

test('the place behind each record is told, also behind one that an upstream page repeats', async () => {
  const record = (id: string) => ({ id, createdTime: '2026-01-01T00:00:00.000Z', fields: {} });
  const pages = new Map([
    [null, { records: ['a', 'b'].map(record), offset: 'next' }],
    ['next', { records: ['b', 'c', 'a', 'd'].map(record), offset: null }],
  ]);
  const { records, ends } = await listRecords({
    query,
    first: 1_000,
    after: null,
    readPage: (offset) => Promise.resolve(pages.get(offset as null)!),
  });
  expect(records.map(({ id }) => id)).toEqual(['a', 'b', 'c', 'd']);
  const place = { pageSize: 100, atEnd: false };
  expect(records.map((_, index) => ends.behind(index))).toEqual([
    { ...place, offset: null, index: 1, lastId: 'a', count: 1 },
    { ...place, offset: 'next', index: 0, lastId: 'b', count: 2 },
    { ...place, offset: 'next', index: 2, lastId: 'c', count: 3 },
    { ...place, offset: 'next', index: 4, lastId: 'd', count: 4, atEnd: true },
  ]);
  expect(ends.behindLast()).toEqual(ends.behind(3));
  expect(ends.behind(4)).toBeNull();
});

test('a place in a page that has grown too large since is found in the smaller ones', async () => {
  const ids = Array.from({ length: 300 }, (_, index) => `r${index}`);
  const sizes: number[] = [];
  const { records } = await listRecords({
    query,
    first: 40,
    after: { offset: '100', index: 70, lastId: 'r169', count: 170, pageSize: 100, atEnd: false },
    readPage: (offset, pageSize) => {
      sizes.push(pageSize);
      if (pageSize > 30) {
        const details = { maxBytes: maxAnswerBytes };
        return Promise.reject(new AppError('UPSTREAM_UNREADABLE', 'too large', { details }));
      }
      const from = Number(offset);
      const page = ids.slice(from, from + pageSize);
      const createdTime = '2026-01-01T00:00:00.000Z';
      return Promise.resolve({
        records: page.map((id) => ({ id, createdTime, fields: {} })),
        offset: from + pageSize < ids.length ? String(from + pageSize) : null,
      });
    },
  });
  expect(records.map(({ id }) => id)).toEqual(ids.slice(170, 210));
  expect(sizes).toEqual([100, 50, 25, 25, 25, 25, 25]);
});
