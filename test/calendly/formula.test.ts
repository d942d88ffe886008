import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { fieldReference, recordIdsFormula, stringLiteral } from '../../src/calendly/formula.ts';
import { isUpstreamId, requireId } from '../../src/calendly/ids.ts';

/** Reads one literal as the upstream documents it: up to the first quote without a backslash before it. */
function readLiteral(formula: string): { text: string; rest: string } {
  if (!formula.startsWith("'")) throw new Error('not a literal');
  let text = '';
  for (let at = 1; at < formula.length; at += 1) {
    const char = formula[at];
    if (char === "'") return { text, rest: formula.slice(at + 1) };
    if (char === '\\') at += 1;
    text += formula[at] ?? '';
  }
  throw new Error('no closing quote');
}

describe('formula text', () => {
  test('any text without control characters is read back from its literal, with nothing left over', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (text) => {
        fc.pre(!/\p{Cc}/u.test(text));
        expect(readLiteral(stringLiteral(text))).toEqual({ text, rest: '' });
      }),
    );
  });

  test('texts made of quotes and backslashes stay inside their literal', () => {
    const hostile = fc
      .array(fc.constantFrom("'", '"', '\\', ')', ',', '{', '}', ' OR ', 'a'))
      .map((parts) => parts.join(''));
    fc.assert(
      fc.property(hostile, (text) => {
        expect(readLiteral(stringLiteral(text))).toEqual({ text, rest: '' });
      }),
      { numRuns: 500 },
    );
  });

  test.each(['a\nb', 'a\tb', '\u0000', 'a\u0085b'])('a control character is refused: %j', (text) => {
    expect(() => stringLiteral(text)).toThrow(expect.objectContaining({ code: 'FILTER_NOT_EXACT' }));
  });

  test('a lookup names every record once and refuses what is not an id', () => {
    expect(recordIdsFormula(['recA', 'recB'])).toBe("OR(RECORD_ID()='recA',RECORD_ID()='recB')");
    expect(() => recordIdsFormula(["recA',TRUE(),'"])).toThrow(
      expect.objectContaining({ code: 'INVALID_INPUT' }),
    );
  });

  test('a field is referred to by id', () => {
    expect(fieldReference('fldName')).toBe('{fldName}');
    expect(() => fieldReference('Name')).toThrow(expect.objectContaining({ code: 'INVALID_INPUT' }));
  });
});

describe('upstream ids', () => {
  test.each([
    ['app', 'appABC123', true],
    ['tbl', 'tblDEF456', true],
    ['rec', `rec${'a'.repeat(40)}`, true],
    ['rec', `rec${'a'.repeat(41)}`, false],
    ['rec', 'rec', false],
    ['rec', 'tblDEF456', false],
    ['rec', 'recA/../x', false],
    ['rec', 'recA\n', false],
    ['rec', 'recé', false],
    ['rec', 42, false],
  ] as const)('as %s, %j is an id: %s', (prefix, text, valid) => {
    expect(isUpstreamId(prefix, text)).toBe(valid);
  });

  test('a refusal names the kind of id that was expected', () => {
    expect(() => requireId('tbl', 'Contacts')).toThrow(/"Contacts" is not a table id/);
  });
});
