import { expect, test } from '@jest/globals';
import { parse } from 'graphql';
import { DocumentCache } from '../../src/graphql/document-cache.ts';

const document = parse('{ a }');

test('keeps no more characters than it may, and drops what was used longest ago', () => {
  const cache = new DocumentCache(10);
  cache.set('aaaa', document);
  cache.set('bbbb', document);
  expect(cache.get('aaaa')).toBe(document);
  cache.set('cccc', document);
  expect(cache.get('bbbb')).toBeUndefined();
  expect(cache.get('aaaa')).toBe(document);
  expect(cache.get('cccc')).toBe(document);
});

test('counts a document once, however often it is set', () => {
  const cache = new DocumentCache(10);
  for (let time = 0; time < 5; time += 1) cache.set('aaaa', document);
  cache.set('bbbb', document);
  expect(cache.get('aaaa')).toBe(document);
});

test('does not keep a document that is longer than everything together may be', () => {
  const cache = new DocumentCache(10);
  cache.set('a'.repeat(11), document);
  expect(cache.get('a'.repeat(11))).toBeUndefined();
  cache.set('bbbb', document);
  expect(cache.get('bbbb')).toBe(document);
});
