import { describe, expect, test } from '@jest/globals';
import { FormulaError } from '../../../sandbox/formula/formula-error.ts';
import { parseFormula } from '../../../sandbox/formula/formula.ts';
import { MAX_FORMULA_DEPTH, MAX_FORMULA_LENGTH } from '../../../sandbox/formula/parser.ts';
import { FormulaFailure, includes, type FormulaValue } from '../../../sandbox/formula/value.ts';
import { run } from './sample-record.ts';

const PREFIX = 'The formula for filtering records is invalid: ';
const SYNTAX = `${PREFIX}Invalid formula. Please check your formula text.`;

describe('inclusion', () => {
  test.each<[string, FormulaValue, boolean]>([
    ['0', 0, false],
    ['empty text', '', false],
    ['NaN', Number.NaN, false],
    ['an empty array', [], false],
    ['#Error!', new FormulaFailure('x'), false],
    ['blank', null, false],
    ['another number', -1, true],
    ['Infinity', Infinity, true],
    ['the text 0', '0', true],
    ['an instant', new Date(0), true],
    ['an array of something', ['a'], true],
  ])('%s', (_, value, expected) => {
    expect(includes(value)).toBe(expected);
  });
});

describe('lexical rules', () => {
  test.each<[string, string, unknown]>([
    ['a field by name in braces', '{Two words}', 'spaced'],
    ['a field by id in braces', '{fldScore0000000001}', 42],
    ['a one-word name stands bare', 'Score', 42],
    ['a bare name may have letters beyond ASCII', 'Größe + 1', 8],
    ['names are case-sensitive', '{score}', null],
    ['a closing brace in a name is escaped', '{Odd\\}name}', 'braced'],
    ['double quotes', '"a\'b"', "a'b"],
    ['single quotes', "'a\"b'", 'a"b'],
    ['an escaped quote', "'O\\'Hara'", "O'Hara"],
    ['an escaped backslash', "'a\\\\b'", 'a\\b'],
    ['a whole number', '3', 3],
    ['a decimal number', '3.5', 3.5],
    ['unary minus', '-3 - -2', -1],
    ['TRUE() is 1', 'TRUE()', 1],
    ['FALSE() is 0', 'FALSE()', 0],
    ['+ and -', '1 + 2 - 4', -1],
    ['* and /', '6 * 2 / 4', 3],
    ['& joins text', "'a' & 1 & {Empty} & 'b'", 'a1b'],
    ['=', '1 = 1', 1],
    ['!=', '1 != 1', 0],
    ['<', '1 < 2', 1],
    ['>', '1 > 2', 0],
    ['<=', '2 <= 2', 1],
    ['>=', '1 >= 2', 0],
    ['parentheses', '(1 + 2) * 3', 9],
    ['multiplication before addition', '1 + 2 * 3', 7],
    ['addition before &', "1 + 2 & 'x'", '3x'],
    ['& before comparison', "'a' & 'b' = 'ab'", 1],
    ['blanks and newlines between tokens', ' \n1\t+\r\n2 ', 3],
  ])('%s', (_, text, expected) => {
    expect(run(text)).toBe(expected);
  });

  test.each([
    ['nothing', ''],
    ['typographic quotes', '{Name} = “Ada”'],
    ['an open string', "'abc"],
    ['an open brace', '{Name'],
    ['empty braces', '{}'],
    ['a missing operand', '1 +'],
    ['two operands in a row', '1 2'],
    ['an open parenthesis', '(1'],
    ['a missing argument', 'AND(1,)'],
    ['AND as an operator', '1 AND 2'],
    ['an unknown operator', '1 <> 2'],
    ['too few arguments', 'NOT()'],
    ['too many arguments', 'NOT(1, 2)'],
    ['a formula that is too long', `'${'a'.repeat(MAX_FORMULA_LENGTH)}'`],
    [
      'a formula that is too deep',
      `${'('.repeat(MAX_FORMULA_DEPTH + 1)}1${')'.repeat(MAX_FORMULA_DEPTH + 1)}`,
    ],
  ])('%s is a syntax error', (_, text) => {
    expect(() => parseFormula(text)).toThrow(new FormulaError(SYNTAX));
  });

  test('a long chain of operators is not deep', () => {
    expect(run(Array.from({ length: 20_000 }, () => '1').join('+'))).toBe(20_000);
  });

  test('TRUE without parentheses is a field', () => {
    expect(parseFormula('TRUE').fieldReferences).toEqual(['TRUE']);
  });
});

describe('errors', () => {
  test('all unknown functions are named, in lower case', () => {
    expect(() => parseFormula('FOO(1) + Bar({Name})')).toThrow(
      new FormulaError(`${PREFIX}Unknown function names: foo, bar`),
    );
  });

  test('unknown fields are named by whoever knows the table', () => {
    const { fieldReferences } = parseFormula("AND({Nope} = 1, Nada, {Nope} = 'x')");
    expect(fieldReferences).toEqual(['Nope', 'Nada']);
    expect(FormulaError.unknownFields(fieldReferences).message).toBe(
      `${PREFIX}Unknown field names: nope, nada`,
    );
  });

  test('a runtime error is the value of that record, not a throw', () => {
    expect(run("1 + 'x'")).toBe('#Error!');
    expect(run("IF(1 + 'x', 1, 2)")).toBe('#Error!');
  });
});
