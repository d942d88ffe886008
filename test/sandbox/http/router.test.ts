import { describe, expect, test } from '@jest/globals';
import { Router } from '../../../sandbox/http/router.ts';

function routerWith(...patterns: string[]): Router {
  const router = new Router();
  for (const pattern of patterns) {
    const [method = '', path = ''] = pattern.split(' ');
    router.add(method, path, { endpoint: pattern, handler: () => ({ status: 200 }) });
  }
  return router;
}

const ROUTES = [
  'GET /v0/:baseId/:table',
  'POST /v0/:baseId/:table',
  'GET /v0/:baseId/:table/:recordId',
  'POST /v0/:baseId/:table/listRecords',
  'GET /v0/meta/bases',
  'GET /v0/meta/bases/:baseId/tables',
  'GET /v0/bases/:baseId/webhooks',
];

describe('Router', () => {
  test.each([
    ['GET', '/v0/appABC123/Contacts', 'GET /v0/:baseId/:table', { baseId: 'appABC123', table: 'Contacts' }],
    [
      'POST',
      '/v0/appABC123/Contacts/',
      'POST /v0/:baseId/:table',
      { baseId: 'appABC123', table: 'Contacts' },
    ],
    ['GET', '/v0/app1/A%2FB%20C', 'GET /v0/:baseId/:table', { baseId: 'app1', table: 'A/B C' }],
    [
      'GET',
      '/v0/app1/T/rec1',
      'GET /v0/:baseId/:table/:recordId',
      { baseId: 'app1', table: 'T', recordId: 'rec1' },
    ],
    ['POST', '/v0/app1/T/listRecords', 'POST /v0/:baseId/:table/listRecords', { baseId: 'app1', table: 'T' }],
    ['GET', '/v0/meta/bases', 'GET /v0/meta/bases', {}],
    ['GET', '/v0/meta/bases/app1/tables', 'GET /v0/meta/bases/:baseId/tables', { baseId: 'app1' }],
    ['GET', '/v0/bases/app1/webhooks', 'GET /v0/bases/:baseId/webhooks', { baseId: 'app1' }],
  ])('%s %s is %s', (method, path, endpoint, params) => {
    const match = routerWith(...ROUTES).match(method, path);
    expect(match?.route.endpoint).toBe(endpoint);
    expect(match?.params).toEqual(params);
  });

  test.each([
    ['an unknown path', 'GET', '/v1/app1/T'],
    ['another method', 'DELETE', '/v0/meta/bases'],
    ['a malformed base id', 'GET', '/v0/base1/T'],
    ['a base id with other characters', 'GET', '/v0/app-1/T'],
    ['a malformed record id', 'GET', '/v0/app1/T/1'],
    ['an empty segment', 'GET', '/v0/app1//rec1'],
    ['a broken percent-encoding', 'GET', '/v0/app1/%E0%A4%A'],
    ['an encoded NUL', 'GET', '/v0/app1/T%00'],
  ])('%s matches nothing', (_case, method, path) => {
    expect(routerWith(...ROUTES).match(method, path)).toBeNull();
  });
});
