import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { ANN, BASE_ID, BOB, fieldId, PEOPLE_ID, THINGS_ID } from './fixture-base.ts';
import { RecordApi, type RecordList, type ShownRecord } from './record-api.ts';

let api: RecordApi;
const LIST = `/${BASE_ID}/${THINGS_ID}`;

beforeAll(async () => {
  api = await RecordApi.start();
  const records = [
    { Name: 'delta', Number: 2, Level: 'High', Tags: ['High'], Done: true, Day: '2026-02-01', People: [BOB] },
    { Name: 'alpha', Number: 10, Level: 'Average', Tags: ['Low', 'High'], Day: '2026-01-01' },
    { Name: 'charlie', Number: -1, Level: 'Low', Done: true, Day: '2025-12-31', People: [ANN] },
    { Name: 'bravo' },
  ];
  await api.call('POST', LIST, { records: records.map((fields) => ({ fields })) });
});
afterAll(() => api[Symbol.asyncDispose]());

/** The same call by GET and by POST: both must answer this. */
async function names(query: string, body: unknown, urlOnly = ''): Promise<unknown> {
  const got = await api.call<RecordList>('GET', `${LIST}?${query}&${urlOnly}`);
  const posted = await api.call<RecordList>('POST', `${LIST}/listRecords?${urlOnly}`, body);
  expect(posted.status).toBe(got.status);
  expect(posted.body.records?.map(({ id }) => id)).toEqual(got.body.records?.map(({ id }) => id));
  return got.status === 200 ? got.body.records.map(({ fields }) => fields['Name']) : got.body;
}

const INVALID = { type: 'INVALID_REQUEST_UNKNOWN', message: expect.any(String) };

describe('order', () => {
  test.each([
    ['Name', 'asc', ['alpha', 'bravo', 'charlie', 'delta']],
    ['Name', 'desc', ['delta', 'charlie', 'bravo', 'alpha']],
    ['Number', 'asc', ['bravo', 'charlie', 'delta', 'alpha']],
    ['Number', 'desc', ['alpha', 'delta', 'charlie', 'bravo']],
    ['Level', 'asc', ['bravo', 'charlie', 'delta', 'alpha']],
    ['Level', 'desc', ['alpha', 'delta', 'charlie', 'bravo']],
    ['Day', 'asc', ['bravo', 'charlie', 'alpha', 'delta']],
    ['Done', 'asc', ['alpha', 'bravo', 'delta', 'charlie']],
    ['Done', 'desc', ['delta', 'charlie', 'alpha', 'bravo']],
    ['People', 'asc', ['alpha', 'bravo', 'charlie', 'delta']],
    ['Tags', 'asc', ['charlie', 'bravo', 'alpha', 'delta']],
  ])(
    'by %s %s: empty cells first ascending and last descending, selects by choice',
    async (field, direction, order) => {
      const query = `sort[0][field]=${field}&sort[0][direction]=${direction}`;
      expect(await names(query, { sort: [{ field, direction }] })).toEqual(order);
    },
  );

  test('is ascending where no direction is given, and by id as well as by name', async () => {
    const field = fieldId('Name');
    expect(await names(`sort[0][field]=${field}`, { sort: [{ field }] })).toEqual([
      'alpha',
      'bravo',
      'charlie',
      'delta',
    ]);
  });

  test('by several fields, the first one first', async () => {
    const query = 'sort[0][field]=Done&sort[0][direction]=desc&sort[1][field]=Name';
    const sort = [{ field: 'Done', direction: 'desc' }, { field: 'Name' }];
    expect(await names(query, { sort })).toEqual(['charlie', 'delta', 'alpha', 'bravo']);
  });
});

describe('filterByFormula', () => {
  test.each([
    ["{Name}='alpha'", ['alpha']],
    ['{Number}>1', ['delta', 'alpha']],
    ['{Done}', ['delta', 'charlie']],
    ["{People}='Ann'", ['charlie']],
    ["{Level}='High'", ['delta']],
    ["IS_BEFORE({Day}, DATETIME_PARSE('2026-01-01'))", ['charlie']],
    [`{${'fldThing00000000'}}='bravo'`, ['bravo']],
    ['', ['delta', 'alpha', 'charlie', 'bravo']],
  ])('%s', async (formula, expected) => {
    expect(
      await names(`filterByFormula=${encodeURIComponent(formula)}`, { filterByFormula: formula }),
    ).toEqual(expected);
  });

  test.each([
    ['{Nope}=1', 'Unknown field names: nope'],
    ['{Nope}={Nada Ny}', 'Unknown field names: nope, nada ny'],
    ['FOO(1)', 'Unknown function names: foo'],
    ['{Name}=', 'Invalid formula. Please check your formula text.'],
  ])('%s is refused: %s', async (formula, reason) => {
    const message = `The formula for filtering records is invalid: ${reason}`;
    expect(
      await names(`filterByFormula=${encodeURIComponent(formula)}`, { filterByFormula: formula }),
    ).toEqual({
      error: { type: 'INVALID_FILTER_BY_FORMULA', message },
    });
  });

  test('finds records of this table by id, in any number, and passes over unknown ids', async () => {
    const all = (await api.call<RecordList>('GET', LIST)).body.records;
    const wanted = [all[2]?.id, ANN, 'recUnknown0000001', all[0]?.id, all[0]?.id];
    const formula = `OR(${wanted.map((id) => `RECORD_ID()='${id}'`).join(',')})`;
    expect(
      await names(`filterByFormula=${encodeURIComponent(formula)}`, { filterByFormula: formula }),
    ).toEqual(['delta', 'charlie']);
  });

  test('with 499 ids works through POST, also with paging and maxRecords', async () => {
    const contacts = await everyContact(api);
    const wanted = contacts.slice(0, 200).map(({ id }) => id);
    const terms = [
      ...wanted,
      ...Array.from({ length: 299 }, (_, i) => `recMissing${String(i).padStart(7, '0')}`),
    ];
    const filterByFormula = `OR(${terms.map((id) => `RECORD_ID()='${id}'`).join(',')})`;
    const body = { filterByFormula, pageSize: 90, maxRecords: 150 };
    const path = '/appABC123/tblDEF456/listRecords';
    const first = await api.call<RecordList>('POST', path, body);
    const second = await api.call<RecordList>('POST', path, { ...body, offset: first.body.offset });
    expect([first.body.records.length, second.body.records.length, second.body.offset]).toEqual([
      90,
      60,
      undefined,
    ]);
    const found = [...first.body.records, ...second.body.records].map(({ id }) => id);
    expect(new Set(found).size).toBe(150);
    expect(found.every((id) => wanted.includes(id))).toBe(true);
  });

  test('combines with a view by AND', async () => {
    expect(
      await names('view=Done, last first&filterByFormula={Number}>0', {
        view: 'Done, last first',
        filterByFormula: '{Number}>0',
      }),
    ).toEqual(['delta']);
  });
});

async function everyContact(from: RecordApi): Promise<ShownRecord[]> {
  const records: ShownRecord[] = [];
  let offset = '';
  do {
    const page = await from.call<RecordList>(
      'GET',
      `/appABC123/tblDEF456?offset=${encodeURIComponent(offset)}`,
    );
    records.push(...page.body.records);
    offset = page.body.offset ?? '';
  } while (offset !== '');
  return records;
}

describe('view', () => {
  test.each(['Done, last first', 'viwThings00000003'])(
    '%s restricts, orders, and still returns hidden fields',
    async (view) => {
      expect(await names(`view=${encodeURIComponent(view)}`, { view })).toEqual(['delta', 'charlie']);
    },
  );

  test('is overruled in its order by sort', async () => {
    const query = 'view=viwThings00000003&sort[0][field]=Name';
    expect(await names(query, { view: 'viwThings00000003', sort: [{ field: 'Name' }] })).toEqual([
      'charlie',
      'delta',
    ]);
  });

  test.each([
    ['No such view', { type: 'VIEW_NAME_NOT_FOUND', message: 'View No such view not found' }],
    ['viwNowhere0000001', { type: 'VIEW_ID_NOT_FOUND', message: 'View viwNowhere0000001 not found' }],
    ['viwPeople00000001', { type: 'FAILED_STATE_CHECK' }],
  ])('%s is refused', async (view, error) => {
    expect(await names(`view=${encodeURIComponent(view)}`, { view })).toEqual({ error });
  });
});

describe('fields and form of records', () => {
  test('fields[] returns only these, by name or id; empty cells are left out', async () => {
    const query = `fields[]=Name&fields%5B%5D=${fieldId('Number')}`;
    const { body } = await api.list(THINGS_ID, query);
    expect(body.records.map(({ fields }) => fields)).toEqual([
      { Name: 'delta', Number: 2 },
      { Name: 'alpha', Number: 10 },
      { Name: 'charlie', Number: -1 },
      { Name: 'bravo' },
    ]);
  });

  test.each(['true', '1'])('returnFieldsByFieldId=%s keys cells by field id', async (value) => {
    const { body } = await api.list(THINGS_ID, `fields[]=Name&returnFieldsByFieldId=${value}`);
    expect(body.records[0]?.fields).toEqual({ [fieldId('Name')]: 'delta' });
  });

  test.each(['false', '0'])('returnFieldsByFieldId=%s keys cells by name', async (value) => {
    const { body } = await api.list(THINGS_ID, `fields[]=Name&returnFieldsByFieldId=${value}`);
    expect(body.records[0]?.fields).toEqual({ Name: 'delta' });
  });

  test('a record has id, createdTime and fields, nothing else', async () => {
    const { body } = await api.list(THINGS_ID, 'maxRecords=1');
    expect(Object.keys(body.records[0] ?? {})).toEqual(['id', 'createdTime', 'fields']);
    expect(body.records[0]?.createdTime).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  });

  test('recordMetadata[]=commentCount shows the count on records that have comments', async () => {
    const { records } = api.sandbox.context;
    const stored = records.find(PEOPLE_ID, BOB);
    if (stored) records.of(PEOPLE_ID).put(BOB, { ...stored, commentCount: 2 });
    const { body } = await api.list('People', 'recordMetadata[]=commentCount');
    expect(body.records.map(({ id, commentCount }) => [id, commentCount])).toEqual([
      [ANN, undefined],
      [BOB, 2],
    ]);
  });

  test('includeDateDependencyMetadata turns link cells into objects', async () => {
    const { body } = await api.list(
      THINGS_ID,
      'maxRecords=1&fields[]=People&includeDateDependencyMetadata=true',
    );
    expect(body.records[0]?.fields).toEqual({ People: [{ id: BOB }] });
  });

  test('a table is found by id and by name, encoded slash included', async () => {
    const byId = await api.list(THINGS_ID);
    const byName = await api.list('Things / all types');
    expect(byName).toEqual(byId);
    expect(byName.body.records).toHaveLength(4);
  });
});

describe('cellFormat=string', () => {
  const ZONE = 'timeZone=America%2FNew_York&userLocale=en-gb';

  test('writes each type out as people read it', async () => {
    const fields = {
      Name: 'text',
      Number: 1.5,
      Percent: 0.125,
      Price: 1234.5,
      Rating: 3,
      Duration: 3723,
      Done: true,
      Day: '2026-01-31',
      When: '2026-01-31T07:00:00.000Z',
      Level: 'High',
      Tags: ['Low', 'High'],
      People: [ANN, BOB],
      Owner: { id: 'usrAdaLovelace001' },
      Code: { text: '0123' },
    };
    const { id } = await api.create(THINGS_ID, fields);
    const answer = await api.call<ShownRecord>('GET', `${LIST}/${id}?cellFormat=string&${ZONE}`);
    await api.call('DELETE', `${LIST}/${id}`);
    expect(answer.body.fields).toMatchObject({
      Name: 'text',
      Number: '1.50',
      Percent: '12.5%',
      Price: '$1,234.50',
      Rating: '3',
      Duration: '1:02:03',
      Done: 'checked',
      Day: '2026-01-31',
      When: '2026-01-31 08:00',
      Level: 'High',
      Tags: 'Low, High',
      People: 'Ann, Bob',
      Owner: 'Ada Lovelace',
      Code: '0123',
      Double: '3.00',
      'Person levels': 'High, Low',
    });
  });

  test.each([
    ['', 'no time zone and locale'],
    ['timeZone=Europe/Paris', 'no locale'],
    ['userLocale=fr', 'no time zone'],
    ['timeZone=Nowhere/Land&userLocale=fr', 'an unknown zone'],
  ])('with %s is refused: %s', async (query) => {
    expect(await names('cellFormat=string', { cellFormat: 'string' }, query)).toEqual({ error: INVALID });
  });

  test('takes the zone and locale from the query only, also for POST', async () => {
    const inBody = { cellFormat: 'string', timeZone: 'Europe/Paris', userLocale: 'fr' };
    expect((await api.call('POST', `${LIST}/listRecords`, inBody)).status).toBe(422);
    expect((await api.call('POST', `${LIST}/listRecords?${ZONE}`, inBody)).status).toBe(200);
  });
});

describe('bad parameters', () => {
  test.each([
    ['pageSize=0', { pageSize: 0 }],
    ['pageSize=101', { pageSize: 101 }],
    ['pageSize=ten', { pageSize: 'ten' }],
    ['maxRecords=-1', { maxRecords: -1 }],
    ['sort[0][field]=Name&sort[0][direction]=up', { sort: [{ field: 'Name', direction: 'up' }] }],
    ['sort[0][direction]=asc', { sort: [{ direction: 'asc' }] }],
    ['recordMetadata[]=likes', { recordMetadata: ['likes'] }],
    ['cellFormat=xml', { cellFormat: 'xml' }],
    ['returnFieldsByFieldId=maybe', { returnFieldsByFieldId: 'maybe' }],
  ])('%s is INVALID_REQUEST_UNKNOWN', async (query, body) => {
    expect(await names(query, body)).toEqual({ error: INVALID });
  });

  test.each([
    ['fields[]=Nope', { fields: ['Nope'] }],
    ['sort[0][field]=Nope', { sort: [{ field: 'Nope' }] }],
  ])('%s is UNKNOWN_FIELD_NAME', async (query, body) => {
    const error = { type: 'UNKNOWN_FIELD_NAME', message: 'Unknown field name: "Nope"' };
    expect(await names(query, body)).toEqual({ error });
  });

  test.each(['nonsense', 'itr0/rec0', 'itrAAAAAAAAAAAAAA'])(
    'offset %s is INVALID_OFFSET_VALUE',
    async (offset) => {
      const error = { type: 'INVALID_OFFSET_VALUE', message: `The value of offset ${offset} is invalid` };
      expect(await names(`offset=${offset}`, { offset })).toEqual({ error });
    },
  );

  test('an offset of null is refused in POST, and an empty one counts as none in GET', async () => {
    expect((await api.call('POST', `${LIST}/listRecords`, { offset: null })).status).toBe(422);
    expect((await api.list(THINGS_ID, 'offset=')).body.records).toHaveLength(4);
  });

  test('an unknown table is 403, like one that is not granted', async () => {
    const answer = await api.list('Nope');
    expect(answer).toMatchObject({
      status: 403,
      body: { error: { type: 'INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND' } },
    });
  });

  test('a body that is no JSON is INVALID_REQUEST_BODY', async () => {
    const error = { type: 'INVALID_REQUEST_BODY', message: 'Could not parse request body' };
    expect(await api.call('POST', `${LIST}/listRecords`, '{')).toEqual({ status: 422, body: { error } });
  });
});
