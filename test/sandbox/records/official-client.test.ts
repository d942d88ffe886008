import { afterAll, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals';
import Airtable from 'airtable';
import { ANN, BASE_ID, BOB, fieldId, THINGS_ID } from './fixture-base.ts';
import { RecordApi } from './record-api.ts';

const TABLE_NAME = 'Things / all types';
let api: RecordApi;
let base: ReturnType<Airtable['base']>;
beforeAll(async () => {
  api = await RecordApi.start();
  base = new Airtable({ apiKey: api.token, endpointUrl: api.sandbox.url }).base(BASE_ID);
});
beforeEach(() => {
  const { state } = api.sandbox.context;
  state.collection(`records/${THINGS_ID}`).clear();
});
afterAll(() => api[Symbol.asyncDispose]());

async function fill(count: number): Promise<string[]> {
  const ids: string[] = [];
  for (let start = 0; start < count; start += 10) {
    const batch = Array.from({ length: Math.min(10, count - start) }, (_, i) => ({
      fields: { Name: `N${String(start + i).padStart(3, '0')}`, Number: start + i },
    }));
    for (const record of await base(TABLE_NAME).create(batch)) ids.push(record.id);
  }
  return ids;
}

describe('the official client', () => {
  test('creates one and several (its URL ends in "/?"), and finds them', async () => {
    const single = await base(TABLE_NAME).create({ Name: 'One', People: [ANN] });
    const several = await base(THINGS_ID).create([
      { fields: { Name: 'Two' } },
      { fields: { Name: 'Three' } },
    ]);
    expect(several.map((record) => record.get('Name'))).toEqual(['Two', 'Three']);
    const found = await base(TABLE_NAME).find(single.id);
    expect([found.get('Name'), found.get('People')]).toEqual(['One', [ANN]]);
  });

  test('selects with every parameter', async () => {
    await fill(12);
    const records = await base(TABLE_NAME)
      .select({
        fields: ['Name', 'Number'],
        filterByFormula: 'AND({Number}>2, {Number}<9)',
        sort: [{ field: 'Number', direction: 'desc' }],
        maxRecords: 4,
        pageSize: 3,
        view: 'Grid view',
      })
      .all();
    expect(records.map((record) => record.fields)).toEqual(
      [8, 7, 6, 5].map((number) => ({ Name: `N00${number}`, Number: number })),
    );
  });

  test('goes through all pages with eachPage', async () => {
    await fill(25);
    const sizes: number[] = [];
    await base(TABLE_NAME)
      .select({ pageSize: 10 })
      .eachPage((records, fetchNextPage) => {
        sizes.push(records.length);
        fetchNextPage();
      });
    expect(sizes).toEqual([10, 10, 5]);
  });

  test('selects by POST, leaving method, timeZone and userLocale in the body', async () => {
    await base(TABLE_NAME).create({ Name: 'A', When: '2026-01-31T07:00:00.000Z', Price: 5 });
    const records = await base(TABLE_NAME)
      .select({ method: 'post', cellFormat: 'string', timeZone: 'Europe/Paris', userLocale: 'fr' })
      .all();
    expect(records[0]?.fields).toMatchObject({ When: '2026-01-31 08:00', Price: '$5.00' });
  });

  test('switches to POST by itself for a long formula', async () => {
    const ids = await fill(10);
    const terms = Array.from({ length: 500 }, (_, i) => ids[i] ?? `recMissing${String(i).padStart(7, '0')}`);
    const filterByFormula = `OR(${terms.map((id) => `RECORD_ID()='${id}'`).join(',')})`;
    expect(filterByFormula.length).toBeGreaterThan(15_000);
    expect(await base(TABLE_NAME).select({ filterByFormula }).all()).toHaveLength(10);
  });

  test('reads by field id', async () => {
    await fill(1);
    const [record] = await base(TABLE_NAME)
      .select({ returnFieldsByFieldId: true, fields: ['Name'] })
      .all();
    expect(record?.fields).toEqual({ [fieldId('Name')]: 'N000' });
  });

  test('uses the deprecated list with limit and an empty offset', async () => {
    await fill(3);
    const warning = jest.spyOn(console, 'warn').mockReturnValue();
    const listed = await new Promise((resolve, reject) => {
      const table = base(TABLE_NAME) as unknown as {
        list(
          limit: number,
          offset: null,
          done: (error: unknown, records: unknown[], offset?: string) => void,
        ): void;
      };
      table.list(2, null, (error, records) =>
        error ? reject(new Error('list() failed', { cause: error })) : resolve(records.length),
      );
    });
    warning.mockRestore();
    expect(listed).toBe(2);
  });

  test('updates, replaces and destroys, one and several', async () => {
    const [first = '', second = ''] = await fill(2);
    const updated = await base(TABLE_NAME).update(first, { Name: 'new' });
    expect(updated.fields).toMatchObject({ Name: 'new', Number: 0 });
    const replaced = await base(TABLE_NAME).replace(first, { Name: 'only' });
    expect(replaced.get('Number')).toBeUndefined();
    const both = await base(TABLE_NAME).update([
      { id: first, fields: { People: [BOB] } },
      { id: second, fields: { Done: true } },
    ]);
    expect(both.map((record) => record.id)).toEqual([first, second]);
    expect((await base(TABLE_NAME).destroy(first)).id).toBe(first);
    expect((await base(TABLE_NAME).destroy([second])).map((record) => record.id)).toEqual([second]);
  });

  test('upserts', async () => {
    const [id] = await fill(1);
    const records = [{ fields: { Name: 'N000', Number: 9 } }, { fields: { Name: 'other' } }];
    const options = { performUpsert: { fieldsToMergeOn: ['Name'] } };
    // The types of the client know only updates with an id.
    const answer: unknown = await base(TABLE_NAME).update(records as never, options as never);
    expect(answer).toMatchObject([
      { id, fields: { Name: 'N000', Number: 9 } },
      { fields: { Name: 'other' } },
    ]);
  });

  test('passes on type and message of a 422', async () => {
    await expect(base(TABLE_NAME).create({ Foo: 1 } as never)).rejects.toMatchObject({
      error: 'UNKNOWN_FIELD_NAME',
      message: 'Unknown field name: "Foo"',
      statusCode: 422,
    });
  });

  test('maps a missing record and a missing base', async () => {
    await expect(base(TABLE_NAME).find('recUnknown0000001')).rejects.toMatchObject({ statusCode: 404 });
    const other = new Airtable({ apiKey: api.token, endpointUrl: api.sandbox.url }).base('appUnknown0000001');
    await expect(other('X').find('recUnknown0000001')).rejects.toMatchObject({ statusCode: 403 });
  });
});

describe('spellings of clients', () => {
  const get = async (path: string): Promise<number> => (await api.call('GET', path)).status;

  test.each([
    ['a trailing question mark', `/${BASE_ID}/${THINGS_ID}?`],
    ['a trailing slash', `/${BASE_ID}/${THINGS_ID}/`],
    ['both', `/${BASE_ID}/${THINGS_ID}/?`],
    [
      'encoded brackets and plus for a space',
      `/${BASE_ID}/${THINGS_ID}?fields%5B%5D=Person+levels&sort%5B0%5D%5Bfield%5D=Name`,
    ],
    ['an empty value for null', `/${BASE_ID}/${THINGS_ID}?offset=&view=&filterByFormula=`],
    ['numbers for booleans', `/${BASE_ID}/${THINGS_ID}?returnFieldsByFieldId=0`],
    ['repeated fields[]', `/${BASE_ID}/${THINGS_ID}?fields[]=Name&fields[]=Number`],
    ['an encoded table name', `/${BASE_ID}/Things%20%2F%20all%20types`],
    ['parameters that nobody knows', `/${BASE_ID}/${THINGS_ID}?utm_source=x`],
  ])('%s is tolerated', async (_what, path) => {
    expect(await get(path)).toBe(200);
  });

  test('a content type on calls without a body is tolerated', async () => {
    const { id } = await api.create(THINGS_ID, { Name: 'x' });
    expect((await api.call('DELETE', `/${BASE_ID}/${THINGS_ID}/${id}`)).body).toEqual({ id, deleted: true });
  });
});
