import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';

import { RecordApi, type RecordList } from './record-api.ts';
import { MAX_ITERATORS } from '../../../sandbox/records/iterators.ts';

const CONTACTS = '/appABC123/tblDEF456';
let api: RecordApi;
beforeEach(async () => {
  api = await RecordApi.start();
});
afterEach(() => api[Symbol.asyncDispose]());

const NOT_AVAILABLE = { status: 422, body: { error: { type: 'LIST_RECORDS_ITERATOR_NOT_AVAILABLE' } } };

function page(query: string): ReturnType<typeof api.call<RecordList>> {
  return api.call<RecordList>('GET', `${CONTACTS}?fields[]=Name&${query}`);
}

async function sizes(query: string): Promise<number[]> {
  const found: number[] = [];
  const seen = new Set<string>();
  let offset: string | undefined = '';
  while (offset !== undefined) {
    const { body }: { body: RecordList } = await page(`${query}&offset=${encodeURIComponent(offset)}`);
    found.push(body.records.length);
    for (const { id } of body.records) seen.add(id);
    offset = body.offset;
  }
  expect(seen.size).toBe(found.reduce((sum, size) => sum + size, 0));
  return found;
}

describe('pages', () => {
  test.each([
    ['', [100, 100, 50]],
    ['pageSize=99', [99, 99, 52]],
    ['pageSize=50&maxRecords=120', [50, 50, 20]],
    ['maxRecords=100', [100]],
    ['pageSize=50&maxRecords=50', [50]],
    ['limit=90', [90, 90, 70]],
  ])('%s come in %j, each record once', async (query, expected) => {
    expect(await sizes(query)).toEqual(expected);
  });

  test('the legacy alias limit is for GET only', async () => {
    const { body } = await api.call<RecordList>('POST', `${CONTACTS}/listRecords`, { limit: 5 });
    expect(body.records).toHaveLength(100);
  });

  test('are capped by the pageCap setting', async () => {
    api.sandbox.context.settings.changeLimits({ pageCap: 70 });
    expect(await sizes('')).toEqual([70, 70, 70, 40]);
  });

  test('the offset is an iterator and the next record', async () => {
    expect((await page('')).body.offset).toMatch(/^itr[0-9A-Za-z]{14}\/rec[0-9A-Za-z]{14}$/);
  });
});

describe('the iterator', () => {
  test('is gone after iteratorLifetimeMs without use, and the error has no message', async () => {
    const { body } = await page('');
    api.sandbox.context.clock.advance(api.sandbox.context.settings.limits.iteratorLifetimeMs + 1_000);
    expect(await page(`offset=${body.offset}`)).toEqual(NOT_AVAILABLE);
  });

  test('lives on while it is used', async () => {
    const { settings, clock } = api.sandbox.context;
    const first = await page('');
    clock.advance(settings.limits.iteratorLifetimeMs - 1_000);
    const second = await page(`offset=${first.body.offset}`);
    clock.advance(settings.limits.iteratorLifetimeMs - 1_000);
    expect((await page(`offset=${second.body.offset}`)).body.records).toHaveLength(50);
  });

  test('keeps the listing as it began: what is created later is not in it, what is deleted is passed over', async () => {
    const first = await page('');
    const second = await page(`offset=${first.body.offset}`);
    await api.call('POST', CONTACTS, { fields: {} });
    const gone = second.body.records[5]?.id;
    await api.call('DELETE', `${CONTACTS}/${gone}`);
    const again = await page(`offset=${first.body.offset}`);
    expect(again.body.records).toHaveLength(99);
    expect((await page(`offset=${second.body.offset}`)).body.records).toHaveLength(50);
  });

  test('is one of a bounded number: the one that rested longest goes', () => {
    const { iterators } = api.sandbox.context;
    const oldest = iterators.open(['recA', 'recB'], 1).offset ?? '';
    const used = iterators.open(['recA', 'recB'], 1).offset ?? '';
    for (let i = 2; i < MAX_ITERATORS; i += 1) iterators.open(['recA', 'recB'], 1);
    expect(iterators.next(used, 1).page).toEqual(['recB']);
    iterators.open(['recA', 'recB'], 1);
    expect(() => iterators.next(oldest, 1)).toThrow('LIST_RECORDS_ITERATOR_NOT_AVAILABLE');
    expect(iterators.next(used, 1).page).toEqual(['recB']);
  });

  test('checks the other parameters on every page', async () => {
    const { body } = await page('');
    expect((await page(`offset=${body.offset}&fields[]=Nope`)).status).toBe(422);
  });
});
