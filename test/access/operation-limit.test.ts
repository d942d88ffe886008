import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { OperationsInFlight } from '../../src/access/operations-in-flight.ts';
import { startTestApp, type TestApp } from '../support/app.ts';

let app: TestApp;
let id: number;
beforeAll(async () => {
  app = await startTestApp();
  id = await app.connect();
});
afterAll(() => app.close());

test('200 operations of one caller may be under way; what has ended makes room', () => {
  const operations = new OperationsInFlight();
  const leaves = Array.from({ length: 200 }, () => operations.enter('key:1'));
  expect(() => operations.enter('key:1')).toThrow(/200 operations/);
  operations.enter('key:2')();
  leaves.pop()?.();
  leaves.push(operations.enter('key:1'));
  expect(() => operations.enter('key:1')).toThrow(/200 operations/);
  for (const leave of leaves) leave();
  for (let n = 0; n < 1_000; n += 1) operations.enter('key:1')();
});

test('the 201st at a time is answered 429 with Retry-After, and another key is not held up', async () => {
  const key = await app.app.keys.create('Busy', 'viewer');
  const other = await app.app.keys.create('Calm', 'viewer');
  const callerId = (await app.app.authentication.caller(key, 'test')).id;
  const leaves = Array.from({ length: 200 }, () => app.app.operationsInFlight.enter(callerId));
  const document = 'query ($id: Int!) { connection(id: $id) { id } }';
  const refused = await app.graphql(document, { id }, { key });
  expect(refused.status).toBe(429);
  expect(refused.headers.get('retry-after')).toBe('1');
  expect(refused.data).toBeUndefined();
  expect(refused.errors).toEqual([
    expect.objectContaining({
      extensions: { code: 'OPERATION_LIMIT', max: 200, retryAfterMs: 1_000, requestId: expect.any(String) },
    }),
  ]);
  expect((await app.graphql(document, { id }, { key: other })).data).toEqual({ connection: { id } });
  leaves[0]?.();
  // Operations that have ended, whether well or not, leave their places.
  for (let n = 0; n < 3; n += 1) {
    expect((await app.graphql(document, { id }, { key })).data).toEqual({ connection: { id } });
    expect((await app.graphql('{ connections { nonsense } }', {}, { key })).status).not.toBe(429);
    expect(
      (await app.graphql('query ($id: Int!) { connection(id: $id) { id } }', { id: 'x' }, { key })).status,
    ).not.toBe(429);
  }
});
