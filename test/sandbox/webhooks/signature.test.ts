import { expect, test } from '@jest/globals';
import { pingBody } from '../../../sandbox/webhooks/ping-delivery.ts';
import { contentMac } from '../../../sandbox/webhooks/signature.ts';

const SECRET = 'c2VjcmV0LWtleQ==';
const SPACED =
  '{"base": {"id": "app00000000000000"}, "webhook": {"id": "ach00000000000000"}, "timestamp": "2022-02-01T21:25:05.663Z"}';
const COMPACT = pingBody(
  { id: 'ach00000000000000', baseId: 'app00000000000000' },
  '2022-02-01T21:25:05.663Z',
);

test.each([
  ['the vector with spaces', SPACED, 'e26da696a90933647bddc83995c3e1e3bb1c3d8ce1ff61cb7469767d50b2b2d4'],
  ['the compact vector', COMPACT, '6486781ffbbd5e9ed3bd9137d539ab9dceec8dba7c65c6cbf3c8c3ceefbf8802'],
])('the content MAC agrees with %s', (_case, body, hex) => {
  expect(contentMac(SECRET, body)).toBe(`hmac-sha256=${hex}`);
});

test('a ping is compact JSON', () => {
  expect(COMPACT).toBe(SPACED.replaceAll(': ', ':').replaceAll(', ', ','));
});
