import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { jsonText } from '../../src/changes/json-text.ts';
import { comparePositions, decodeCursor, encodeCursor, feedKey } from '../../src/changes/position.ts';
import { AppError } from '../../src/errors.ts';

const number = fc.integer({ min: 0, max: 2 ** 31 - 1 });
const position = fc.record({ generation: number, payload: number, ordinal: number });
const key = feedKey('client', 'appABC123');

function codeOf(run: () => unknown): string {
  try {
    run();
    return 'none';
  } catch (error) {
    return error instanceof AppError ? error.code : String(error);
  }
}

describe('cursors', () => {
  it('give back the position that they were made of', () => {
    fc.assert(
      fc.property(position, (given) => expect(decodeCursor(key, encodeCursor(key, given))).toEqual(given)),
    );
  });

  it('are refused by every other feed', () => {
    fc.assert(
      fc.property(position, fc.string(), fc.string(), (given, clientId, baseId) => {
        fc.pre(clientId !== 'client' || baseId !== 'appABC123');
        expect(codeOf(() => decodeCursor(feedKey(clientId, baseId), encodeCursor(key, given)))).toBe(
          'CURSOR_INVALID',
        );
      }),
    );
  });

  it('do not confuse feeds whose names run together', () => {
    expect(feedKey('a', 'bc')).not.toBe(feedKey('ab', 'c'));
  });

  it('are refused when anything about them was changed', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 60 }), (text) => {
        expect(codeOf(() => decodeCursor(key, text))).toBe('CURSOR_INVALID');
      }),
    );
    const cursor = encodeCursor(key, { generation: 1, payload: 2, ordinal: 3 });
    for (const changed of [
      `${cursor}A`,
      cursor.slice(1),
      `${cursor}=`,
      ` ${cursor}`,
      cursor.replace(/^./, 'B'),
    ]) {
      expect(codeOf(() => decodeCursor(key, changed))).toBe('CURSOR_INVALID');
    }
  });

  it('refuse numbers that no position has', () => {
    const bytes = Buffer.from(encodeCursor(key, { generation: 0, payload: 0, ordinal: 0 }), 'base64url');
    bytes.writeUInt32BE(2 ** 32 - 1, 12);
    expect(codeOf(() => decodeCursor(key, bytes.toString('base64url')))).toBe('CURSOR_INVALID');
  });
});

describe('positions', () => {
  it('are ordered by generation, then payload, then ordinal', () => {
    fc.assert(
      fc.property(position, position, (a, b) => {
        const asLists = [a, b].map(({ generation, payload, ordinal }) => [generation, payload, ordinal]);
        const [first = [], second = []] = asLists;
        const difference =
          first.map((value, index) => value - (second[index] ?? 0)).find((value) => value !== 0) ?? 0;
        expect(Math.sign(comparePositions(a, b))).toBe(Math.sign(difference));
      }),
    );
  });
});

describe('JSON for the log', () => {
  it.each([
    ['a zero character', 'a\0b', 'a\ufffdb'],
    ['half of a pair', 'a\ud800b', 'a\ufffdb'],
    ['a backslash before what looks like an escape', 'a\\u0000b', 'a\\u0000b'],
    ['two backslashes before a zero character', '\\\\\0', '\\\\\ufffd'],
    ['a whole pair', '\u{1f600}', '\u{1f600}'],
  ])('keeps everything but what PostgreSQL refuses: %s', (_, given, kept) => {
    expect(JSON.parse(jsonText({ value: given }))).toEqual({ value: kept });
  });

  it('never contains an escape that jsonb refuses', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const parsed = JSON.parse(jsonText(text)) as string;
        expect(parsed).not.toMatch(/\0/);
        expect(parsed.length).toBe(text.length);
      }),
    );
  });
});
