import { describe, expect, test } from '@jest/globals';
import { judge, readEnvelope } from '../../src/calendly/judge.ts';

const read = { name: 'list records', effect: 'read', missing: 'TABLE_NOT_FOUND' } as const;
const create = { name: 'create records', effect: 'once', missing: 'TABLE_NOT_FOUND' } as const;
const now = Date.parse('2026-01-02T03:04:05.000Z');

function json(status: number, body: unknown, headers: Record<string, string> = {}) {
  return { status, headers, body: JSON.stringify(body) };
}

describe('the envelopes of errors', () => {
  test.each([
    ['{"error":{"type":"SOME_TYPE","message":"text"}}', 'SOME_TYPE', 'text'],
    ['{"error":{"type":"LIST_RECORDS_ITERATOR_NOT_AVAILABLE"}}', 'LIST_RECORDS_ITERATOR_NOT_AVAILABLE', null],
    ['{"error":"NOT_FOUND"}', 'NOT_FOUND', null],
    ['{"errors":[{"error":"RATE_LIMIT_REACHED","message":"Wait"}]}', 'RATE_LIMIT_REACHED', 'Wait'],
    ['{"errors":[]}', null, null],
    ['{"error":{"type":"<b>x</b>","message":7}}', null, null],
    ['[]', null, null],
    ['null', null, null],
    ['<html>502</html>', null, null],
    ['', null, null],
  ])('%s', (body, type, message) => {
    expect(readEnvelope(body)).toEqual({ type, message });
  });
});

describe('judging an answer', () => {
  test.each([
    [401, 'UNAUTHORIZED', 'unauthorized', 'CONNECTION_NOT_CONNECTED'],
    [403, 'INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND', 'final', 'UPSTREAM_FORBIDDEN'],
    [403, 'INVALID_PERMISSIONS', 'final', 'UPSTREAM_FORBIDDEN'],
    [404, 'NOT_FOUND', 'final', 'TABLE_NOT_FOUND'],
    [404, 'MODEL_ID_NOT_FOUND', 'final', 'RECORD_NOT_FOUND'],
    [413, 'REQUEST_TOO_LARGE', 'final', 'UPSTREAM_REJECTED'],
    [422, 'INVALID_FILTER_BY_FORMULA', 'final', 'FORMULA_INVALID'],
    [422, 'LIST_RECORDS_ITERATOR_NOT_AVAILABLE', 'final', 'CURSOR_EXPIRED'],
    [422, 'INVALID_OFFSET_VALUE', 'final', 'CURSOR_INVALID'],
    [422, 'UNKNOWN_FIELD_NAME', 'final', 'FIELD_NOT_FOUND'],
    [422, 'ROW_DOES_NOT_EXIST', 'final', 'RECORD_NOT_FOUND'],
    [422, 'TOO_MANY_WEBHOOKS_IN_BASE', 'final', 'WEBHOOK_LIMIT'],
    [422, 'TOO_MANY_WEBHOOKS_BY_OAUTH_INTEGRATION_IN_BASE', 'final', 'WEBHOOK_LIMIT'],
    [422, 'TYPE_OF_TOMORROW', 'final', 'UPSTREAM_REJECTED'],
    [422, 'constructor', 'final', 'UPSTREAM_REJECTED'],
    [429, 'RATE_LIMIT_REACHED', 'limited', 'UPSTREAM_RATE_LIMITED'],
    [429, 'PUBLIC_API_BILLING_LIMIT_EXCEEDED', 'final', 'UPSTREAM_MONTHLY_LIMIT'],
    [500, 'SERVER_ERROR', 'final', 'UPSTREAM_UNAVAILABLE'],
    [502, 'BAD_GATEWAY', 'unavailable', 'UPSTREAM_UNAVAILABLE'],
    [503, 'RETRIABLE_ERROR', 'unavailable', 'UPSTREAM_UNAVAILABLE'],
    [302, 'MOVED', 'final', 'UPSTREAM_UNREADABLE'],
  ])('status %i with %s is %s and means %s', (status, type, kind, code) => {
    const verdict = judge(json(status, { error: { type, message: 'said' } }), read, now);
    expect(verdict).toMatchObject({
      kind,
      error: { code, details: { upstreamStatus: status, upstreamType: type } },
    });
    expect(verdict).toMatchObject({ error: { message: expect.stringContaining(`${type}: said`) } });
  });

  test('an answer is its JSON, and an empty body is null', () => {
    expect(judge(json(200, { id: 'x' }), read, now)).toEqual({ kind: 'answer', value: { id: 'x' } });
    expect(judge({ status: 204, headers: {}, body: '' }, read, now)).toEqual({ kind: 'answer', value: null });
  });

  test("a proxy's page is never quoted, neither as a success nor as a failure", () => {
    const page = '<html><body>internal-host-17</body></html>';
    for (const status of [200, 502]) {
      const verdict = judge({ status, headers: {}, body: page }, read, now);
      expect(verdict.kind).not.toBe('answer');
      expect(JSON.stringify(verdict)).not.toContain('internal-host');
      expect('error' in verdict && verdict.error.message).not.toContain('internal-host');
    }
  });

  test.each([
    [200, 'unknown'],
    [302, 'unknown'],
    [422, undefined],
    [429, undefined],
    [500, 'unknown'],
    [503, 'unknown'],
  ])('after a create answered with an unreadable %i the outcome is %s', (status, outcome) => {
    const verdict = judge({ status, headers: {}, body: '<html>' }, create, now);
    expect('error' in verdict && verdict.error.details.outcome).toBe(outcome);
  });

  test('long and multi-line words of the upstream are shortened to one line', () => {
    const verdict = judge(
      json(422, { error: { type: 'T', message: `a\n\u0000b${'x'.repeat(5_000)}` } }),
      read,
      now,
    );
    expect('error' in verdict && verdict.error.message).toMatch(/T: a b?x*…\)/);
    expect('error' in verdict && verdict.error.message.length).toBeLessThan(500);
  });

  test('Retry-After is read', () => {
    expect(judge(json(503, {}, { 'retry-after': '7' }), read, now)).toMatchObject({ retryAfterMs: 7_000 });
    expect(judge(json(429, {}), read, now)).toMatchObject({ retryAfterMs: null });
  });
});
