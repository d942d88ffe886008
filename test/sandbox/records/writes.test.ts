import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { ANN, BASE_ID, fieldId, PEOPLE_ID, THINGS_ID } from './fixture-base.ts';
import { RecordApi, type RecordList, type ShownRecord } from './record-api.ts';

const TABLE = `/${BASE_ID}/${THINGS_ID}`;
let api: RecordApi;
beforeAll(async () => {
  api = await RecordApi.start();
});
afterAll(() => api[Symbol.asyncDispose]());

function countThings(): number {
  return api.sandbox.context.records.of(THINGS_ID).size;
}

function recordsNamed(count: number): { fields: { Name: string } }[] {
  return Array.from({ length: count }, (_, i) => ({ fields: { Name: `N${i}` } }));
}

const CREATE_MESSAGE =
  'You must provide an array of up to 10 record objects, each with a "fields" object for cell values.';
const UPDATE_MESSAGE =
  'You must provide an array of up to 10 record objects, each with an "id" ID field and a "fields" object for cell values.';

describe('get', () => {
  test('looks base-wide: a record of another table is returned all the same', async () => {
    const answer = await api.call<ShownRecord>('GET', `${TABLE}/${ANN}`);
    expect(answer.status).toBe(200);
    expect(answer.body).toMatchObject({ id: ANN, fields: { Name: 'Ann' } });
  });

  test.each([
    ['NOT_FOUND', 404, { error: 'NOT_FOUND' }],
    ['MODEL_ID_NOT_FOUND', 404, { error: { type: 'MODEL_ID_NOT_FOUND', message: 'Record not found' } }],
    [
      'INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND',
      403,
      {
        error: {
          type: 'INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND',
          message: expect.stringContaining('Invalid permissions'),
        },
      },
    ],
  ])('a missing record is %s when the switch says so', async (missingRecord, status, body) => {
    api.sandbox.context.settings.changeSwitches({ missingRecord });
    expect(await api.call('GET', `${TABLE}/recUnknown0000001`)).toEqual({ status, body });
    expect(await api.call('PATCH', `${TABLE}/recUnknown0000001`, { fields: {} })).toEqual({ status, body });
    expect(await api.call('DELETE', `${TABLE}/recUnknown0000001`)).toEqual({ status, body });
    api.sandbox.context.settings.changeSwitches({ missingRecord: 'NOT_FOUND' });
  });

  test('a malformed id is a 404 before the token is looked at', async () => {
    const response = await fetch(`${api.sandbox.url}/v0${TABLE}/banana`);
    expect([response.status, await response.json()]).toEqual([404, { error: 'NOT_FOUND' }]);
  });
});

describe('create', () => {
  test('of one record answers 200 with a bare record', async () => {
    const answer = await api.call('POST', TABLE, { fields: { Name: 'Single' } });
    expect(answer.status).toBe(200);
    expect(answer.body).toMatchObject({
      id: expect.stringMatching(/^rec[0-9A-Za-z]{14}$/),
      fields: { Name: 'Single' },
    });
  });

  test('of several answers in request order, keyed by id if asked', async () => {
    const answer = await api.call<RecordList>('POST', TABLE, {
      records: recordsNamed(10),
      returnFieldsByFieldId: true,
    });
    expect(answer.body.records.map(({ fields }) => fields[fieldId('Name')])).toEqual(
      recordsNamed(10).map(({ fields }) => fields.Name),
    );
  });

  test('accepts field ids as keys', async () => {
    expect((await api.create(THINGS_ID, { [fieldId('Name')]: 'By id' })).fields).toMatchObject({
      Name: 'By id',
    });
  });

  test.each([
    ['11 records', { records: recordsNamed(11) }, 'INVALID_RECORDS', CREATE_MESSAGE],
    ['no record', { records: [] }, 'INVALID_RECORDS', CREATE_MESSAGE],
    ['a record without fields', { records: [{}] }, 'INVALID_RECORDS', CREATE_MESSAGE],
    ['records that are no list', { records: {} }, 'INVALID_RECORDS', CREATE_MESSAGE],
    ['neither', {}, 'INVALID_REQUEST_MISSING_FIELDS', 'Could not find field "fields" in the request body'],
    ['fields that are no object', { fields: [] }, 'INVALID_REQUEST_UNKNOWN', expect.any(String)],
    ['a list as body', [], 'INVALID_REQUEST_UNKNOWN', expect.any(String)],
    [
      'typecast that is no boolean',
      { fields: {}, typecast: 'yes' },
      'INVALID_REQUEST_UNKNOWN',
      expect.any(String),
    ],
    ['an unknown field', { fields: { Foo: 1 } }, 'UNKNOWN_FIELD_NAME', 'Unknown field name: "Foo"'],
    [
      'a link to no record',
      { fields: { People: ['recUnknown0000001'] } },
      'ROW_DOES_NOT_EXIST',
      'Record ID recUnknown0000001 does not exist in this table',
    ],
  ])('with %s is refused', async (_what, body, type, message) => {
    const before = countThings();
    expect(await api.call('POST', TABLE, body)).toEqual({ status: 422, body: { error: { type, message } } });
    expect(countThings()).toBe(before);
  });

  test('of a batch with one bad record writes nothing', async () => {
    const before = countThings();
    const writes = api.sandbox.context.ledger.writes().length;
    const records = [...recordsNamed(3), { fields: { Level: 'Brand new' } }, { fields: { Number: 'x' } }];
    expect((await api.call('POST', TABLE, { records, typecast: true })).status).toBe(422);
    expect(countThings()).toBe(before);
    expect(api.sandbox.context.ledger.writes()).toHaveLength(writes);
    const level = api.sandbox.context.bases.table(THINGS_ID)?.fields.find(({ name }) => name === 'Level');
    expect(level?.options?.choices?.map(({ name }) => name)).not.toContain('Brand new');
  });

  test('takes as many records as the recordsPerWrite setting says', async () => {
    api.sandbox.context.settings.changeLimits({ recordsPerWrite: 12 });
    expect((await api.call('POST', TABLE, { records: recordsNamed(11) })).status).toBe(200);
    api.sandbox.context.settings.changeLimits({ recordsPerWrite: 10 });
  });

  test('is in the ledger of writes, with its endpoint and ids', async () => {
    const { id } = await api.create('Things / all types', { Name: 'Ledger' });
    expect(api.sandbox.context.ledger.writes().at(-1)).toEqual({
      sequence: expect.any(Number),
      endpoint: 'createRecords',
      baseId: BASE_ID,
      tableId: THINGS_ID,
      recordIds: [id],
      at: expect.stringMatching(/Z$/),
    });
  });
});

describe('update', () => {
  test('PATCH changes only the named fields and answers the whole record', async () => {
    const { id } = await api.create(THINGS_ID, { Name: 'A', Number: 1 });
    const answer = await api.call<ShownRecord>('PATCH', `${TABLE}/${id}`, { fields: { Number: 2 } });
    expect(answer.body.fields).toMatchObject({ Name: 'A', Number: 2, Double: 4 });
  });

  test('PUT clears every writable field that is not named', async () => {
    const { id, createdTime } = await api.create(THINGS_ID, {
      Name: 'A',
      Number: 1,
      Done: true,
      People: [ANN],
    });
    const answer = await api.call<ShownRecord>('PUT', `${TABLE}/${id}`, { fields: { Name: 'B' } });
    expect(answer.body).toMatchObject({ id, createdTime, fields: { Name: 'B', Serial: expect.any(Number) } });
    expect(Object.keys(answer.body.fields)).not.toEqual(expect.arrayContaining(['Number']));
    expect(answer.body.fields).not.toHaveProperty('People');
    expect((await api.read(ANN)).fields['Things'] ?? []).not.toContain(id);
  });

  test.each(['PATCH', 'PUT'])('%s of several keeps request order', async (method) => {
    const created = await api.call<RecordList>('POST', TABLE, { records: recordsNamed(3) });
    const records = created.body.records.toReversed().map(({ id }, i) => ({ id, fields: { Number: i } }));
    const answer = await api.call<RecordList>(method, TABLE, { records });
    expect(answer.body.records.map(({ id, fields }) => [id, fields['Number']])).toEqual(
      records.map(({ id, fields }) => [id, fields.Number]),
    );
    expect(answer.body.records[0]?.fields['Name']).toBe(method === 'PATCH' ? 'N2' : undefined);
    expect(Object.keys(answer.body)).toEqual(['records']);
  });

  test('of several with an id that is not in this table is ROW_DOES_NOT_EXIST, and writes nothing', async () => {
    const { id } = await api.create(THINGS_ID, { Name: 'A' });
    const records = [
      { id, fields: { Name: 'B' } },
      { id: ANN, fields: { Name: 'B' } },
    ];
    const message = `Record ID ${ANN} does not exist in this table`;
    const error = { type: 'ROW_DOES_NOT_EXIST', message };
    expect(await api.call('PATCH', TABLE, { records })).toEqual({ status: 422, body: { error } });
    expect((await api.read(id)).fields['Name']).toBe('A');
  });

  test.each([
    ['11 records', { records: recordsNamed(11).map((record) => ({ id: ANN, ...record })) }, UPDATE_MESSAGE],
    ['a record without id', { records: recordsNamed(1) }, UPDATE_MESSAGE],
    ['a record without fields', { records: [{ id: ANN }] }, UPDATE_MESSAGE],
    ['no records', {}, UPDATE_MESSAGE],
    [
      'the same record twice',
      { records: [ANN, ANN].map((id) => ({ id, fields: {} })) },
      'You cannot update the same record multiple times in a single request.',
    ],
  ])('with %s is INVALID_RECORDS', async (_what, body, message) => {
    const error = { type: 'INVALID_RECORDS', message };
    expect(await api.call('PATCH', TABLE, body)).toEqual({ status: 422, body: { error } });
  });

  test('of one without fields is INVALID_REQUEST_MISSING_FIELDS', async () => {
    const answer = await api.call('PATCH', `/${BASE_ID}/${PEOPLE_ID}/${ANN}`, {});
    expect(answer).toMatchObject({
      status: 422,
      body: { error: { type: 'INVALID_REQUEST_MISSING_FIELDS' } },
    });
  });
});

describe('upsert', () => {
  interface Upserted extends RecordList {
    createdRecords: string[];
    updatedRecords: string[];
  }
  const upsert = (records: unknown[], fieldsToMergeOn: unknown, more: Record<string, unknown> = {}) =>
    api.call<Upserted>('PATCH', TABLE, { performUpsert: { fieldsToMergeOn }, records, ...more });

  test('creates without a match, updates the one match, and tells which', async () => {
    const { id } = await api.create(THINGS_ID, { Email: 'one@example.com', Number: 1 });
    const other = await api.create(THINGS_ID, { Email: 'two@example.com' });
    const answer = await upsert(
      [
        { fields: { Email: 'new@example.com', Number: 5 } },
        { fields: { Email: 'one@example.com', Name: 'merged' } },
        { id: other.id, fields: { Name: 'by id' } },
      ],
      ['Email'],
    );
    const [created, merged, byId] = answer.body.records;
    expect(answer.body.createdRecords).toEqual([created?.id]);
    expect(answer.body.updatedRecords).toEqual([id, other.id]);
    expect(merged).toMatchObject({ id, fields: { Name: 'merged', Number: 1 } });
    expect(byId).toMatchObject({ id: other.id, fields: { Name: 'by id' } });
  });

  test.each([
    ['number', 'Number', 4711],
    ['text', 'Name', 'merge text'],
    ['long text', 'Notes', 'merge notes'],
    ['single select', 'Level', 'Average'],
    ['multiple select', 'Tags', ['Average', 'Low']],
    ['date', 'Day', '1999-12-31'],
  ])('merges on a field of type %s, named by name or id', async (_type, field, value) => {
    const { id } = await api.create(THINGS_ID, { [field]: value });
    const found = Array.isArray(value) ? value.toReversed() : value;
    for (const key of [field, fieldId(field)]) {
      const answer = await upsert([{ fields: { [field]: found, Phone: key } }], [key]);
      expect(answer.body.updatedRecords).toEqual([id]);
    }
  });

  test('on several fields needs all of them to match', async () => {
    await api.create(THINGS_ID, { Name: 'multi', Number: 1 });
    const { id } = await api.create(THINGS_ID, { Name: 'multi', Number: 2 });
    const answer = await upsert([{ fields: { Name: 'multi', Number: 2, Phone: '2' } }], ['Name', 'Number']);
    expect(answer.body.updatedRecords).toEqual([id]);
  });

  test('with several matches fails the whole request', async () => {
    await api.create(THINGS_ID, { Name: 'twin' });
    await api.create(THINGS_ID, { Name: 'twin' });
    const before = countThings();
    const answer = await upsert([{ fields: { Name: 'fresh' } }, { fields: { Name: 'twin' } }], ['Name']);
    expect(answer.status).toBe(422);
    expect(countThings()).toBe(before);
  });

  test('with an id that does not exist fails', async () => {
    const answer = await upsert([{ id: 'recUnknown0000001', fields: {} }], ['Name']);
    expect(answer).toMatchObject({ status: 422, body: { error: { type: 'ROW_DOES_NOT_EXIST' } } });
  });

  test('with typecast compares what the value becomes', async () => {
    const { id } = await api.create(THINGS_ID, { Number: 8150 });
    const answer = await upsert([{ fields: { Number: '8,150', Phone: 'x' } }], ['Number'], {
      typecast: true,
    });
    expect(answer.body.updatedRecords).toEqual([id]);
  });

  test.each([
    ['no field', []],
    ['four fields', ['Name', 'Email', 'Number', 'Day']],
    ['a computed field', ['Serial']],
    ['a field of another type', ['Done']],
    ['nothing', undefined],
  ])('on %s is refused', async (_what, fieldsToMergeOn) => {
    const answer = await upsert([{ fields: { Name: 'x' } }], fieldsToMergeOn);
    expect(answer).toMatchObject({ status: 422, body: { error: { type: 'INVALID_REQUEST_UNKNOWN' } } });
  });

  test('on an unknown field is UNKNOWN_FIELD_NAME', async () => {
    const answer = await upsert([{ fields: { Name: 'x' } }], ['Foo']);
    expect(answer).toMatchObject({ status: 422, body: { error: { type: 'UNKNOWN_FIELD_NAME' } } });
  });
});

describe('delete', () => {
  test('of one answers its id', async () => {
    const { id } = await api.create(THINGS_ID, {});
    expect(await api.call('DELETE', `${TABLE}/${id}`)).toEqual({ status: 200, body: { id, deleted: true } });
    expect((await api.call('GET', `${TABLE}/${id}`)).status).toBe(404);
  });

  test('of up to ten, named in the query, answers each', async () => {
    const created = await api.call<RecordList>('POST', TABLE, { records: recordsNamed(10) });
    const ids = created.body.records.map(({ id }) => id);
    const answer = await api.call('DELETE', `${TABLE}?${ids.map((id) => `records[]=${id}`).join('&')}`);
    expect(answer).toEqual({ status: 200, body: { records: ids.map((id) => ({ id, deleted: true })) } });
  });

  test('of eleven or none is INVALID_RECORDS', async () => {
    const eleven = Array.from({ length: 11 }, (_, i) => `records[]=rec${i}`).join('&');
    for (const query of [eleven, '']) {
      const answer = await api.call('DELETE', `${TABLE}?${query}`);
      expect(answer).toMatchObject({ status: 422, body: { error: { type: 'INVALID_RECORDS' } } });
    }
  });

  test('with one id that does not exist deletes nothing', async () => {
    const { id } = await api.create(THINGS_ID, {});
    const answer = await api.call('DELETE', `${TABLE}?records[]=${id}&records[]=recUnknown0000001`);
    expect(answer).toMatchObject({ status: 422, body: { error: { type: 'ROW_DOES_NOT_EXIST' } } });
    expect((await api.read(id)).id).toBe(id);
  });
});

describe('rights', () => {
  const tokenFor = (scopes: string[], email = 'ada@example.com', bases: string[] | 'all' = 'all'): string => {
    const { grants, users } = api.sandbox.context;
    const user = users.list().find((candidate) => candidate.email === email);
    return grants.issuePersonalToken(user?.id ?? '', scopes, bases);
  };
  const status = async (method: string, token: string): Promise<number> => {
    const body = method === 'POST' ? JSON.stringify({ fields: {} }) : undefined;
    const headers = { authorization: `Bearer ${token}` };
    return (await fetch(`${api.sandbox.url}/v0${TABLE}`, { method, headers, ...(body && { body }) })).status;
  };

  test('reading needs data.records:read, writing data.records:write', async () => {
    const reader = tokenFor(['data.records:read']);
    const writer = tokenFor(['data.records:write']);
    expect([await status('GET', reader), await status('POST', reader)]).toEqual([200, 403]);
    expect([await status('GET', writer), await status('POST', writer)]).toEqual([403, 200]);
  });

  test('writing needs an editor of the base, reading any member', async () => {
    const scopes = ['data.records:read', 'data.records:write'];
    const viewer = tokenFor(scopes, 'alan@example.com');
    const editor = tokenFor(scopes, 'grace@example.com');
    expect([await status('GET', viewer), await status('POST', viewer)]).toEqual([200, 403]);
    expect([await status('GET', editor), await status('POST', editor)]).toEqual([200, 200]);
  });

  test('a base that was not granted looks like one that does not exist', async () => {
    expect(await status('GET', tokenFor(['data.records:read'], 'ada@example.com', ['appABC123']))).toBe(403);
  });
});
