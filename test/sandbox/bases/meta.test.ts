import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { BASE_ID, fieldId, PEOPLE_ID, THINGS_ID } from '../records/fixture-base.ts';
import { RecordApi } from '../records/record-api.ts';

interface BaseList {
  bases: { id: string; name: string; permissionLevel: string }[];
  offset?: string;
}
interface Schema {
  tables: {
    id: string;
    name: string;
    description?: string;
    primaryFieldId: string;
    fields: { id: string; name: string; type: string; description?: string; options?: unknown }[];
    views: { id: string; name: string; type: string; visibleFieldIds?: string[] }[];
  }[];
}

let api: RecordApi;
beforeAll(async () => {
  api = await RecordApi.start();
});
afterAll(() => api[Symbol.asyncDispose]());

describe('list bases', () => {
  test('tells id, name and permission level, and no offset when all fit', async () => {
    const answer = await api.call<BaseList>('GET', '/meta/bases');
    expect(answer.status).toBe(200);
    expect(Object.keys(answer.body)).toEqual(['bases']);
    expect(answer.body.bases).toContainEqual({ id: BASE_ID, name: 'Fixture', permissionLevel: 'create' });
    expect(answer.body.bases.map(({ id }) => id)).toContain('appABC123');
  });

  test('pages with an offset of an iterator and the next base', async () => {
    api.sandbox.context.settings.changeLimits({ basePageCap: 2 });
    const first = await api.call<BaseList>('GET', '/meta/bases');
    expect(first.body.bases).toHaveLength(2);
    expect(first.body.offset).toMatch(/^itr[0-9A-Za-z]{14}\/app[0-9A-Za-z]+$/);
    const second = await api.call<BaseList>(
      'GET',
      `/meta/bases?offset=${encodeURIComponent(first.body.offset ?? '')}`,
    );
    expect(second.body).toEqual({ bases: [{ id: BASE_ID, name: 'Fixture', permissionLevel: 'create' }] });
    api.sandbox.context.settings.changeLimits({ basePageCap: 1000 });
  });

  test('gives a thousand on a page', async () => {
    const { context } = api.sandbox;
    for (let i = 0; i < 1_000; i += 1) {
      const id = `appMany${String(i).padStart(10, '0')}`;
      context.bases.put({ id, name: `Many ${i}` });
    }
    const { body } = await api.call<BaseList>('GET', '/meta/bases');
    expect(body.bases).toHaveLength(1_000);
    const rest = await api.call<BaseList>(
      'GET',
      `/meta/bases?offset=${encodeURIComponent(body.offset ?? '')}`,
    );
    expect(rest.body.bases).toHaveLength(3);
  });

  test('refuses an offset that it never gave', async () => {
    const answer = await api.call('GET', '/meta/bases?offset=nonsense');
    expect(answer).toMatchObject({ status: 422, body: { error: { type: 'INVALID_OFFSET_VALUE' } } });
  });

  test('shows only bases of the grant, with the level that the user has', async () => {
    const { grants, users } = api.sandbox.context;
    const alan = users.list().find(({ email }) => email === 'alan@example.com');
    const token = grants.issuePersonalToken(alan?.id ?? '', ['schema.bases:read'], [BASE_ID]);
    const response = await fetch(`${api.sandbox.url}/v0/meta/bases`, {
      headers: { authorization: `Bearer ${token}` },
    });
    expect(await response.json()).toEqual({
      bases: [{ id: BASE_ID, name: 'Fixture', permissionLevel: 'read' }],
    });
  });

  test('needs schema.bases:read', async () => {
    const token = api.sandbox.context.grants.issuePersonalToken(
      'usrAdaLovelace001',
      ['data.records:read'],
      'all',
    );
    for (const path of ['bases', `bases/${BASE_ID}/tables`]) {
      const headers = { authorization: `Bearer ${token}` };
      expect((await fetch(`${api.sandbox.url}/v0/meta/${path}`, { headers })).status).toBe(403);
    }
  });
});

describe('base schema', () => {
  const read = async (query = ''): Promise<Schema> =>
    (await api.call<Schema>('GET', `/meta/bases/${BASE_ID}/tables${query}`)).body;

  test('tells tables with primary field, fields and views', async () => {
    const { tables } = await read();
    expect(tables.map(({ id, name }) => [id, name])).toEqual([
      [THINGS_ID, 'Things / all types'],
      [PEOPLE_ID, 'People'],
    ]);
    expect(tables[0]).toMatchObject({
      description: 'One field of each type',
      primaryFieldId: fieldId('Name'),
    });
    expect(tables[0]?.fields[0]).toEqual({
      id: fieldId('Name'),
      name: 'Name',
      type: 'singleLineText',
      description: 'The name',
    });
  });

  test('leaves description and options out where there are none', async () => {
    const { tables } = await read();
    expect(tables[1]).not.toHaveProperty('description');
    expect(Object.keys(tables[0]?.fields[1] ?? {})).toEqual(['id', 'name', 'type']);
  });

  test('tells the options of links', async () => {
    const link = (await read()).tables[0]?.fields.find(({ name }) => name === 'People');
    expect(link?.options).toEqual({
      linkedTableId: PEOPLE_ID,
      isReversed: false,
      prefersSingleRecordLink: false,
      inverseLinkFieldId: 'fldPerson00000002',
    });
  });

  test('never tells the filter or sort of a view, nor what the service keeps to itself', async () => {
    const text = JSON.stringify(await read());
    for (const secret of [
      'filterFormula',
      '"sort"',
      'aggregation',
      'urlFormula',
      'hiddenFieldIds',
      'baseId',
    ]) {
      expect(text).not.toContain(secret);
    }
  });

  test('include[]=visibleFieldIds adds them to grid views only', async () => {
    const { tables } = await read('?include[]=visibleFieldIds');
    const [grid, board] = tables[0]?.views ?? [];
    expect(grid?.visibleFieldIds).toHaveLength((tables[0]?.fields.length ?? 0) - 1);
    expect(grid?.visibleFieldIds).not.toContain(fieldId('Notes'));
    expect(board).toEqual({ id: 'viwThings00000002', name: 'Board', type: 'kanban' });
    expect((await read()).tables[0]?.views[0]).not.toHaveProperty('visibleFieldIds');
  });

  test('include accepts nothing else', async () => {
    const answer = await api.call('GET', `/meta/bases/${BASE_ID}/tables?include[]=records`);
    expect(answer).toMatchObject({ status: 422, body: { error: { type: 'INVALID_REQUEST_UNKNOWN' } } });
  });

  test('an unknown base is 403', async () => {
    const answer = await api.call('GET', '/meta/bases/appUnknown0000001/tables');
    expect(answer).toMatchObject({
      status: 403,
      body: { error: { type: 'INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND' } },
    });
  });

  test('every id has its prefix and 14 characters, the well-known ones aside', async () => {
    const { body } = await api.call<Schema>('GET', '/meta/bases/appABC123/tables');
    for (const table of body.tables) {
      for (const { id } of [...table.fields, ...table.views])
        expect(id).toMatch(/^(fld|viw)[0-9A-Za-z]{14}$/);
      expect(table.id === 'tblDEF456' || /^tbl[0-9A-Za-z]{14}$/.test(table.id)).toBe(true);
    }
  });
});
