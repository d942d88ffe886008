import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from '@jest/globals';
import Airtable, { type FieldSet, type Table } from 'airtable';
import { CONTACTS, CRM, SandboxAccount } from './sandbox-account.ts';

let account: SandboxAccount;
let contacts: Table<FieldSet>;

function client(apiKey: string): Airtable {
  return new Airtable({ apiKey, endpointUrl: account.url });
}

beforeAll(async () => {
  account = await SandboxAccount.open();
  contacts = client(account.accessToken).base(CRM).table('Contacts');
});

afterAll(() => account.close());
afterEach(() => void jest.restoreAllMocks());

describe('select', () => {
  test('all() collects every page', async () => {
    const records = await contacts.select().all();
    expect(records).toHaveLength(250);
    expect(new Set(records.map((record) => record.id)).size).toBe(250);
    expect(records[0]?.get('Name')).toBe('Ada Lovelace');
  });

  test('eachPage() gives pages of pageSize until the last', async () => {
    const sizes: number[] = [];
    await contacts.select({ pageSize: 60, fields: ['Name'] }).eachPage((records, next) => {
      sizes.push(records.length);
      next();
    });
    expect(sizes).toEqual([60, 60, 60, 60, 10]);
  });

  test('firstPage() gives the first hundred', async () => {
    await expect(contacts.select().firstPage()).resolves.toHaveLength(100);
  });

  test('maxRecords is a cap over all pages', async () => {
    await expect(contacts.select({ maxRecords: 130, pageSize: 50 }).all()).resolves.toHaveLength(130);
  });

  test('fields narrows what comes back', async () => {
    const [record] = await contacts.select({ fields: ['Name', 'Email'], maxRecords: 1 }).firstPage();
    expect(Object.keys(record?.fields ?? {}).sort()).toEqual(['Email', 'Name']);
  });

  test('filterByFormula keeps what it holds for', async () => {
    const records = await contacts.select({ filterByFormula: "AND({Status}='Active', {Score}>50)" }).all();
    expect(records.length).toBeGreaterThan(0);
    for (const record of records) {
      expect(record.get('Status')).toBe('Active');
      expect(record.get('Score')).toBeGreaterThan(50);
    }
  });

  test('sort orders by several fields', async () => {
    const records = await contacts
      .select({
        sort: [{ field: 'Rating', direction: 'desc' }, { field: 'Score' }],
        fields: ['Rating', 'Score'],
      })
      .all();
    const keys = records.map(
      (record) => [record.get('Rating') ?? 0, record.get('Score') ?? -1] as [number, number],
    );
    const sorted = [...keys].sort(([a, x], [b, y]) => b - a || x - y);
    expect(keys).toEqual(sorted);
  });

  test('view restricts and orders', async () => {
    const records = await contacts.select({ view: 'VIPs by score' }).all();
    expect(records.length).toBeGreaterThan(0);
    const scores = records.map((record) => Number(record.get('Score') ?? -1));
    expect(scores).toEqual([...scores].sort((a, b) => b - a));
    for (const record of records) expect(record.get('VIP')).toBe(true);
  });

  test('cellFormat string with timeZone and userLocale gives texts', async () => {
    const records = await contacts
      .select({
        cellFormat: 'string',
        timeZone: 'Europe/Paris',
        userLocale: 'en-gb',
        filterByFormula: '{Score}>90',
      })
      .all();
    expect(records.length).toBeGreaterThan(0);
    for (const record of records) expect(typeof record.get('Score')).toBe('string');
  });

  test('returnFieldsByFieldId keys cells by field id', async () => {
    const [record] = await contacts.select({ returnFieldsByFieldId: true, maxRecords: 1 }).firstPage();
    for (const key of Object.keys(record?.fields ?? {})) expect(key).toMatch(/^fld/);
  });

  test('recordMetadata with commentCount is accepted', async () => {
    await expect(
      contacts.select({ recordMetadata: ['commentCount'], maxRecords: 1 }).all(),
    ).resolves.toHaveLength(1);
  });

  test('method post lists through POST listRecords, with every parameter', async () => {
    const records = await contacts
      .select({
        method: 'post',
        cellFormat: 'string',
        timeZone: 'utc',
        userLocale: 'en-us',
        fields: ['Name', 'Status'],
        filterByFormula: "{Status}='Lead'",
        sort: [{ field: 'Name', direction: 'desc' }],
        view: 'All contacts',
        pageSize: 5,
        maxRecords: 7,
        returnFieldsByFieldId: false,
        recordMetadata: ['commentCount'],
      })
      .all();
    expect(records).toHaveLength(7);
    for (const record of records) expect(record.get('Status')).toBe('Lead');
  });

  test('a formula too long for a URL is listed by POST, over several pages', async () => {
    const ids = (await contacts.select({ fields: [] }).all()).map((record) => record.id);
    const wanted = [
      ...ids,
      ...Array.from({ length: 249 }, (_, index) => `rec${String(index).padStart(14, '0')}`),
    ];
    const filterByFormula = `OR(${wanted.map((id) => `RECORD_ID()='${id}'`).join(',')})`;
    expect(filterByFormula.length).toBeGreaterThan(15_000);
    const found = await contacts.select({ filterByFormula }).all();
    expect(new Set(found.map((record) => record.id))).toEqual(new Set(ids));
  });

  test('the deprecated list() pages with limit and offset', async () => {
    jest.spyOn(console, 'warn').mockImplementation(() => undefined);
    const table = contacts as unknown as {
      list(
        limit: number,
        offset: string | null,
        done: (error: Error | null, records: { id: string }[], offset?: string) => void,
      ): void;
    };
    const page = (offset: string | null) =>
      new Promise<{ ids: string[]; offset: string | undefined }>((resolve, reject) => {
        table.list(3, offset, (error, records, next) =>
          error
            ? reject(new Error('The list failed', { cause: error }))
            : resolve({ ids: records.map(({ id }) => id), offset: next }),
        );
      });
    const first = await page(null);
    const second = await page(first.offset ?? null);
    expect(new Set([...first.ids, ...second.ids]).size).toBe(6);
  });
});

describe('one record and writes', () => {
  test('find() gives the record', async () => {
    const [some] = await contacts.select({ maxRecords: 1 }).firstPage();
    const record = await contacts.find(some?.id ?? '');
    expect(record.fields).toEqual(some?.fields);
  });

  test('create() of one answers it, destroy() of one removes it', async () => {
    const record = await contacts.create({
      Name: 'One',
      Score: 0,
      VIP: true,
      Tags: ['Press'],
      Birthday: '1990-02-28',
    });
    expect(record.id).toMatch(/^rec\w{14}$/);
    expect(record.fields).toMatchObject({
      Name: 'One',
      Score: 0,
      VIP: true,
      Tags: ['Press'],
      Birthday: '1990-02-28',
    });
    const destroyed = await contacts.destroy(record.id);
    expect(destroyed.id).toBe(record.id);
    await expect(contacts.find(record.id)).rejects.toMatchObject({ error: 'NOT_FOUND', statusCode: 404 });
  });

  test('create(), update(), replace() and destroy() of many', async () => {
    const names = Array.from({ length: 10 }, (_, index) => `Many ${index}`);
    const created = await contacts.create(names.map((Name, Score) => ({ fields: { Name, Score } })));
    expect(created.map((record) => record.get('Name'))).toEqual(names);

    const updated = await contacts.update(created.map(({ id }) => ({ id, fields: { Score: 77 } })));
    expect(updated.map((record) => record.get('Score'))).toEqual(names.map(() => 77));
    expect(updated.map((record) => record.get('Name'))).toEqual(names);

    const replaced = await contacts.replace(created.map(({ id }) => ({ id, fields: { Name: 'Alone' } })));
    for (const record of replaced) {
      expect(record.get('Name')).toBe('Alone');
      expect(record.get('Score')).toBeUndefined();
    }
    const destroyed = await contacts.destroy(created.map(({ id }) => id));
    expect(destroyed.map(({ id }) => id)).toEqual(created.map(({ id }) => id));
    await expect(contacts.select({ filterByFormula: "{Name}='Alone'" }).all()).resolves.toEqual([]);
  });

  test('update() and replace() of one, and the record’s own methods', async () => {
    const record = await contacts.create({ Name: 'Own', Score: 1 });
    expect((await contacts.update(record.id, { Score: 2 })).fields).toMatchObject({ Name: 'Own', Score: 2 });
    expect((await contacts.replace(record.id, { Name: 'Own' })).get('Score')).toBeUndefined();
    await record.patchUpdate({ Rating: 3 });
    expect(record.get('Rating')).toBe(3);
    await record.fetch();
    expect(record.get('Name')).toBe('Own');
    await record.destroy();
  });

  test('typecast turns texts into values and makes choices', async () => {
    const record = await contacts.create({ Name: 'Cast', Score: '12', Status: 'Brand new' } as FieldSet, {
      typecast: true,
    });
    expect(record.fields).toMatchObject({ Score: 12, Status: 'Brand new' });
    await contacts.destroy(record.id);
  });

  test('a link written on one side shows on the other', async () => {
    const deals = client(account.accessToken).base(CRM).table('Deals');
    const person = await contacts.create({ Name: 'Linked' });
    const deal = await deals.create({ Name: 'A deal', Amount: 12.5, Contacts: [person.id] });
    const seen = await contacts.find(person.id);
    expect(seen.get('Deals')).toEqual([deal.id]);
    expect(seen.get('Deal total')).toBe(12.5);
    await deals.destroy(deal.id);
    await contacts.destroy(person.id);
  });

  test('a table is addressed by id as well as by name', async () => {
    const byId = client(account.accessToken).base(CRM).table(CONTACTS);
    await expect(byId.select({ maxRecords: 1 }).all()).resolves.toHaveLength(1);
  });
});

describe('errors', () => {
  test('a missing record is NOT_FOUND', async () => {
    await expect(contacts.find('rec00000000000000')).rejects.toMatchObject({
      error: 'NOT_FOUND',
      statusCode: 404,
    });
  });

  test.each([
    ['an unknown field', { Nope: 1 }, 'UNKNOWN_FIELD_NAME', 'Unknown field name: "Nope"'],
    [
      'a bad value',
      { Score: 'many' },
      'INVALID_VALUE_FOR_COLUMN',
      'Field "Score" cannot accept the provided value',
    ],
    [
      'a computed field',
      { 'Deal count': 1 },
      'INVALID_VALUE_FOR_COLUMN',
      'Field "Deal count" cannot accept a value because the field is computed',
    ],
    [
      'an unknown choice',
      { Status: 'Odd' },
      'INVALID_MULTIPLE_CHOICE_OPTIONS',
      'Insufficient permissions to create new select option "Odd"',
    ],
  ])('%s is a 422 with type and message', async (_, fields, error, message) => {
    await expect(contacts.create(fields as FieldSet)).rejects.toMatchObject({
      error,
      message,
      statusCode: 422,
    });
  });

  test('a bad formula is a 422 with type and message', async () => {
    await expect(contacts.select({ filterByFormula: '{Nope}=1' }).all()).rejects.toMatchObject({
      error: 'INVALID_FILTER_BY_FORMULA',
      message: 'The formula for filtering records is invalid: Unknown field names: nope',
      statusCode: 422,
    });
  });

  test('eleven records at once are refused', async () => {
    const records = Array.from({ length: 11 }, () => ({ fields: { Name: 'Eleven' } }));
    await expect(contacts.create(records)).rejects.toMatchObject({
      error: 'INVALID_RECORDS',
      statusCode: 422,
    });
  });

  test('a wrong token is AUTHENTICATION_REQUIRED', async () => {
    await expect(client('wrong').base(CRM).table('Contacts').select().firstPage()).rejects.toMatchObject({
      error: 'AUTHENTICATION_REQUIRED',
      statusCode: 401,
    });
  });

  test('an unknown base is NOT_AUTHORIZED', async () => {
    const table = client(account.accessToken).base('app00000000000000').table('Contacts');
    await expect(table.select().firstPage()).rejects.toMatchObject({
      error: 'NOT_AUTHORIZED',
      statusCode: 403,
    });
  });

  test('after a 429 the client waits and gets its answer', async () => {
    // The client waits a random share of five seconds; this makes it 50 ms.
    jest.spyOn(Math, 'random').mockReturnValue(0.01);
    await account.control('limits', { requestsPerSecond: 2, penaltyMs: 100 });
    try {
      const before = await account.callsTo('listRecords');
      const pages = await Promise.all(
        Array.from({ length: 6 }, () => contacts.select({ maxRecords: 1 }).firstPage()),
      );
      expect(pages.map((page) => page.length)).toEqual([1, 1, 1, 1, 1, 1]);
      expect((await account.callsTo('listRecords')) - before).toBeGreaterThan(6);
    } finally {
      await account.control('limits', { requestsPerSecond: 0, penaltyMs: 30_000 });
    }
  });
});
