import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { ANN, BASE_ID, BOB, fieldId, THINGS_ID } from './fixture-base.ts';
import { RecordApi, type ShownRecord } from './record-api.ts';

let api: RecordApi;
beforeAll(async () => {
  api = await RecordApi.start();
});
afterAll(() => api[Symbol.asyncDispose]());

describe('comments', () => {
  const COMMENTS = `/${BASE_ID}/People/${ANN}/comments`;
  interface Comment {
    id: string;
    text: string;
  }
  const as = async (userId: string, method: string, path: string, body?: unknown) => {
    const scopes = ['data.recordComments:read', 'data.recordComments:write', 'data.records:read'];
    const token = api.sandbox.context.grants.issuePersonalToken(userId, scopes, 'all');
    const response = await fetch(`${api.sandbox.url}/v0${path}`, {
      method,
      headers: { authorization: `Bearer ${token}` },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return { status: response.status, body: (await response.json()) as Record<string, unknown> };
  };
  const ADA = 'usrAdaLovelace001';
  const GRACE = 'usrGraceHopper002';

  test('are created, listed newest first with a null offset on the last page, changed and deleted', async () => {
    const first = await as(ADA, 'POST', COMMENTS, { text: `See @[${GRACE}]` });
    expect(first.body).toEqual({
      id: expect.stringMatching(/^com[0-9A-Za-z]{14}$/),
      author: { id: ADA, email: 'ada@example.com', name: 'Ada Lovelace' },
      text: `See @[${GRACE}]`,
      createdTime: expect.stringMatching(/Z$/),
      lastUpdatedTime: null,
      mentioned: {
        [GRACE]: { type: 'user', id: GRACE, displayName: 'Grace Hopper', email: 'grace@example.com' },
      },
    });
    const reply = await as(GRACE, 'POST', COMMENTS, { text: 'Yes', parentCommentId: first.body['id'] });
    const page = await as(ADA, 'GET', `${COMMENTS}?pageSize=1`);
    expect(page.body).toMatchObject({
      comments: [{ text: 'Yes', parentCommentId: first.body['id'] }],
      offset: '1',
    });
    const last = await as(ADA, 'GET', `${COMMENTS}?pageSize=1&offset=1`);
    expect(last.body).toMatchObject({ comments: [{ id: first.body['id'] }], offset: null });
    const changed = await as(ADA, 'PATCH', `${COMMENTS}/${String(first.body['id'])}`, { text: 'Done' });
    expect(changed.body).toMatchObject({ text: 'Done', lastUpdatedTime: expect.stringMatching(/Z$/) });
    expect((await api.list('People', 'recordMetadata[]=commentCount')).body.records[0]?.commentCount).toBe(2);
    const gone = await as(GRACE, 'DELETE', `${COMMENTS}/${String(reply.body['id'])}`);
    expect(gone.body).toEqual({ id: reply.body['id'], deleted: true });
    const rest = (await as(ADA, 'GET', COMMENTS)).body['comments'] as Comment[];
    expect(rest.map(({ text }) => text)).toEqual(['Done']);
  });

  test('belong to their author, their record and their scopes', async () => {
    const { body } = await as(ADA, 'POST', COMMENTS, { text: 'Mine' });
    const path = `${COMMENTS}/${String(body['id'])}`;
    expect((await as(GRACE, 'PATCH', path, { text: 'Ours' })).status).toBe(403);
    expect((await as(ADA, 'PATCH', path.replace(ANN, BOB), { text: 'Moved' })).status).toBe(404);
    expect((await as('usrAlanTuring0003', 'POST', COMMENTS, { text: 'Viewer' })).status).toBe(403);
    expect((await api.call('GET', COMMENTS)).status).toBe(403);
    expect((await as(ADA, 'POST', COMMENTS, { text: '' })).status).toBe(422);
  });
});

describe('uploadAttachment', () => {
  test('adds a file and answers the cell by field id', async () => {
    const { id } = await api.create(THINGS_ID, { Name: 'T', Files: [{ url: 'https://example.com/a.txt' }] });
    const file = Buffer.from('hello').toString('base64');
    const body = { contentType: 'text/plain', filename: 'hello.txt', file };
    const answer = await api.call<ShownRecord>('POST', `/${BASE_ID}/${id}/Files/uploadAttachment`, body);
    expect(answer.status).toBe(200);
    expect(Object.keys(answer.body.fields)).toEqual([fieldId('Files')]);
    expect(answer.body.fields[fieldId('Files')]).toMatchObject([
      { filename: 'a.txt' },
      { filename: 'hello.txt', size: 5, type: 'text/plain' },
    ]);
  });

  test.each([
    ['no base64', { contentType: 'text/plain', filename: 'x', file: '***' }, 422],
    ['no file', { contentType: 'text/plain', filename: 'x' }, 422],
    ['more than 5 MB', { contentType: 'text/plain', filename: 'x', file: 'A'.repeat(7_000_000) }, 413],
  ])('refuses %s', async (_what, body, status) => {
    const { id } = await api.create(THINGS_ID, { Name: 'T' });
    const answer = await api.call('POST', `/${BASE_ID}/${id}/Files/uploadAttachment`, body);
    expect(answer.status).toBe(status);
    expect((await api.read(id)).fields).not.toHaveProperty('Files');
  });
});
