import { expect, test } from '@jest/globals';
import { DateTimeResolver } from 'graphql-scalars';
import type { GraphQLScalarType } from 'graphql';
import { schema } from '../../src/graphql/schema.ts';

const dateTime = schema.getType('DateTime') as GraphQLScalarType;

/** What a client reads, or the message of the refusal. */
function told(scalar: GraphQLScalarType, value: unknown): unknown {
  try {
    return JSON.parse(JSON.stringify(scalar.serialize(value)));
  } catch (error) {
    return error instanceof Error ? error.message : error;
  }
}

test.each([
  '2026-11-22T10:00:00.000Z',
  '2026-11-22T10:00:00Z',
  '2026-11-22T10:00:00.5Z',
  '2026-11-22T10:00:00.123456Z',
  '2026-11-22T10:00:00+02:00',
  '2024-02-29T23:59:59.999Z',
  '2026-02-29T10:00:00.000Z',
  '2026-02-30T10:00:00.000Z',
  '2026-04-31T10:00:00.000Z',
  '2026-12-31T10:00:00.000Z',
  '2026-13-01T10:00:00.000Z',
  '2026-00-10T10:00:00.000Z',
  '2026-01-00T10:00:00.000Z',
  '2026-01-01T24:00:00.000Z',
  '2026-01-01T10:60:00.000Z',
  '2026-01-01T10:00:60.000Z',
  '2026-01-01T10:00:00.000Z\n',
  ' 2026-01-01T10:00:00.000Z',
  '0000-01-01T10:00:00.000Z',
  '2026-01-01',
  'yesterday',
])('tells the time %j as the library of scalars does', (text) => {
  expect(told(dateTime, text)).toEqual(told(DateTimeResolver, text));
});

test('takes a Date, and refuses one that is none', () => {
  expect(told(dateTime, new Date(0))).toBe('1970-01-01T00:00:00.000Z');
  expect(() => dateTime.serialize(new Date(Number.NaN))).toThrow('invalid Date');
});
