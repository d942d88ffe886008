import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { CONTACTS, CRM, SandboxAccount, type Json } from '../clients/sandbox-account.ts';

/** What the official and other common clients send and expect beyond the documentation, by raw HTTP. */

const TABLE = `/v0/${CRM}/Contacts`;

interface RecordJson {
  id: string;
  createdTime: string;
  fields: Json;
}

let account: SandboxAccount;

beforeAll(async () => {
  account = await SandboxAccount.open();
});

afterAll(() => account.close());

async function list(query: string): Promise<RecordJson[]> {
  const { status, json } = await account.call('GET', `${TABLE}?${query}`);
  expect(status).toBe(200);
  return json['records'] as RecordJson[];
}

async function create(...names: string[]): Promise<RecordJson[]> {
  const records = names.map((Name) => ({ fields: { Name } }));
  const { status, json } = await account.call('POST', `${TABLE}/?`, { records });
  expect(status).toBe(200);
  return json['records'] as RecordJson[];
}

function remove(records: RecordJson[]): ReturnType<SandboxAccount['call']> {
  return account.call('DELETE', `${TABLE}?${records.map(({ id }) => `records[]=${id}`).join('&')}`);
}

describe('the official JavaScript client', () => {
  test('ends every URL in a question mark', async () => {
    const { status, json } = await account.call('GET', `${TABLE}?`);
    expect(status).toBe(200);
    expect(json['records']).toHaveLength(100);
  });

  test.each(['POST', 'PATCH', 'PUT'])('writes with %s to a path with a trailing slash', async (method) => {
    const [record] = await create('Slash');
    const records =
      method === 'POST' ? [{ fields: { Name: 'Slash' } }] : [{ id: record?.id, fields: { Name: 'Slash' } }];
    const { status, json } = await account.call(method, `${TABLE}/?`, { records });
    expect(status).toBe(200);
    await remove([record as RecordJson, ...(method === 'POST' ? (json['records'] as RecordJson[]) : [])]);
  });

  test('sends its own headers, and a content type on GET and DELETE without a body', async () => {
    const headers = {
      'x-api-version': '0.1.0',
      'x-airtable-application-id': CRM,
      'user-agent': 'Airtable.js/0.12.2',
    };
    const [record] = await create('Headers');
    expect((await account.call('GET', `${TABLE}/${record?.id}?`, undefined, headers)).status).toBe(200);
    expect((await account.call('DELETE', `${TABLE}/${record?.id}?`, undefined, headers)).status).toBe(200);
  });

  test('spells queries as jQuery does: escaped brackets, plus for blank', async () => {
    const records = await list(
      'fields%5B%5D=Last+contacted&fields%5B%5D=Name&sort%5B0%5D%5Bfield%5D=Last+contacted&sort%5B0%5D%5Bdirection%5D=desc&pageSize=5',
    );
    expect(records).toHaveLength(5);
    const times = records.map(({ fields }) => String(fields['Last contacted']));
    expect(times).toEqual([...times].sort().reverse());
    expect(Object.keys(records[0]?.fields ?? {}).sort()).toEqual(['Last contacted', 'Name']);
  });

  test('sends null as nothing, and the old name of the page size', async () => {
    expect(await list('limit=2&offset=')).toHaveLength(2);
  });

  test('leaves timeZone, userLocale and method in the body of listRecords as well', async () => {
    const { status, json } = await account.call(
      'POST',
      `${TABLE}/listRecords?timeZone=utc&userLocale=en-us`,
      {
        method: 'post',
        timeZone: 'utc',
        userLocale: 'en-us',
        cellFormat: 'string',
        fields: ['Name', 'Score'],
        pageSize: 3,
      },
    );
    expect(status).toBe(200);
    expect(json['records']).toHaveLength(3);
  });

  test.each([
    ['an answer', 200, `/v0/${CRM}/Contacts?pageSize=1`],
    ['an unknown record', 404, `/v0/${CRM}/Contacts/rec00000000000000`],
    ['an unknown route', 404, '/v0/nonsense/of/some/length'],
    ['an unknown base', 403, '/v0/app00000000000000/Contacts'],
    ['a refusal', 422, `/v0/${CRM}/Contacts?pageSize=101`],
  ])('parses %s (%i) as a JSON object', async (_, status, path) => {
    const answer = await account.call('GET', path);
    expect(answer.status).toBe(status);
    expect(answer.headers.get('content-type')).toMatch(/^application\/json/);
    expect(Array.isArray(answer.json)).toBe(false);
    if (status >= 400) expect(['string', 'object']).toContain(typeof answer.json['error']);
  });

  test('finds the ids in answers to deletes', async () => {
    const [one, two, three] = (await create('a', 'b', 'c')) as [RecordJson, RecordJson, RecordJson];
    expect((await account.call('DELETE', `${TABLE}/${one.id}?`)).json).toEqual({ id: one.id, deleted: true });
    expect((await remove([two, three])).json).toEqual({
      records: [
        { id: two.id, deleted: true },
        { id: three.id, deleted: true },
      ],
    });
  });

  test('encodes names of tables in the path, slashes included', async () => {
    const rename = (tableId: string, name: string) =>
      account.control('schema', { baseId: CRM, renameTable: { tableId, name } });
    await rename('Deals', 'Deals / älter?');
    const path = `/v0/${CRM}/${encodeURIComponent('Deals / älter?')}`;
    const answer = await account.call('GET', `${path}?fields%5B%5D=Close+date&pageSize=1`);
    await rename('Deals / älter?', 'Deals');
    expect(answer.status).toBe(200);
    expect(answer.json['records']).toHaveLength(1);
  });
});

describe('the common Python client', () => {
  test.each([
    ['1', /^fld/],
    ['0', /^[A-Z]/],
  ])('sends returnFieldsByFieldId=%s', async (value, key) => {
    const [record] = await list(`returnFieldsByFieldId=${value}&pageSize=1`);
    for (const name of Object.keys(record?.fields ?? {})) expect(name).toMatch(key);
  });

  test('repeats fields[]', async () => {
    const [record] = await list('fields[]=Name&fields[]=Email&pageSize=1');
    expect(Object.keys(record?.fields ?? {}).sort()).toEqual(['Email', 'Name']);
  });

  test('asks for recordMetadata[]=commentCount', async () => {
    expect(await list('recordMetadata[]=commentCount&pageSize=1')).toHaveLength(1);
  });

  test('upserts by merge fields', async () => {
    const [known] = await create('Upsert A');
    const { status, json } = await account.call('PATCH', `${TABLE}`, {
      performUpsert: { fieldsToMergeOn: ['Name'] },
      records: [{ fields: { Name: 'Upsert B' } }, { fields: { Name: 'Upsert A', Score: 5 } }],
    });
    expect(status).toBe(200);
    const records = json['records'] as RecordJson[];
    expect(records.map(({ fields }) => fields['Name'])).toEqual(['Upsert B', 'Upsert A']);
    expect(json['createdRecords']).toEqual([records[0]?.id]);
    expect(json['updatedRecords']).toEqual([known?.id]);
    await remove(records);
  });

  test('repeats records[] to delete', async () => {
    const records = await create('x', 'y');
    const { json } = await remove(records);
    expect((json['records'] as Json[]).map(({ id }) => id)).toEqual(records.map(({ id }) => id));
  });

  test('takes an empty body from webhook endpoints as nothing', async () => {
    const root = `/v0/bases/${CRM}/webhooks`;
    const created = await account.call('POST', root, {
      notificationUrl: 'http://127.0.0.1:9/hook',
      specification: { options: { filters: { dataTypes: ['tableData'], recordChangeScope: CONTACTS } } },
    });
    expect(created.status).toBe(200);
    const webhook = `${root}/${String(created.json['id'])}`;
    for (const [method, path, body] of [
      ['POST', `${webhook}/enableNotifications`, { enable: true }],
      ['DELETE', webhook, undefined],
    ] as const) {
      const response = await fetch(account.url + path, {
        method,
        headers: { authorization: `Bearer ${account.accessToken}`, 'content-type': 'application/json' },
        body: body && JSON.stringify(body),
      });
      expect(response.status).toBe(200);
      await expect(response.text()).resolves.toBe('');
    }
  });

  test('needs id, createdTime and fields on every record, ids of 17 characters', async () => {
    for (const record of await list('')) {
      expect(record.id).toMatch(/^rec[0-9A-Za-z]{14}$/);
      expect(record.createdTime).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
      expect(record.fields).toBeInstanceOf(Object);
    }
  });

  test('needs error in the body, with type and message where there are any', async () => {
    const { json } = await account.call('GET', `${TABLE}?filterByFormula=1%2B`);
    expect(json['error']).toEqual({
      type: 'INVALID_FILTER_BY_FORMULA',
      message:
        'The formula for filtering records is invalid: Invalid formula. Please check your formula text.',
    });
  });

  test('needs an id in whoami', async () => {
    const { json } = await account.call('GET', '/v0/meta/whoami');
    expect(json).toMatchObject({ id: expect.stringMatching(/^usr/), scopes: expect.any(Array) });
  });
});
