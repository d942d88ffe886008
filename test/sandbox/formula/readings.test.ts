import { describe, expect, test } from '@jest/globals';
import { fieldToFormulaValue } from '../../../sandbox/formula/field-value.ts';
import { FormulaError } from '../../../sandbox/formula/formula-error.ts';
import { DEFAULT_FORMULA_READINGS, type FormulaReadings } from '../../../sandbox/formula/readings.ts';
import { run } from './sample-record.ts';

type Row = [reading: keyof FormulaReadings, text: string, whenTrue: unknown, whenFalse: unknown];

describe('each rule left open has both readings', () => {
  test.each<Row>([
    ['controlEscapesInStrings', "'a\\nb'", 'a\nb', 'anb'],
    ['ampersandBindsTighter', "1 + 2 & '3'", 24, '33'],
    ['blankEqualsZero', '{Empty} = 0', 1, 0],
    ['blankEqualsZero', '{Zero} = BLANK()', 1, 0],
    ['blankEqualsZero', '{Empty} < 5', 1, 0],
    ['blankEqualsZero', "{Empty} = ''", 1, 1],
    ['numericTextEqualsNumber', '{Digits} = 42', 1, 0],
    ['numericTextEqualsNumber', '{Digits} < 43', 1, 0],
    ['regexIsRe2', "REGEX_MATCH('ab', 'a(?=b)')", '#Error!', 1],
    ['neverModifiedIsBlank', 'LAST_MODIFIED_TIME()', null, '2026-01-02T03:04:05.678Z'],
    ['todayIsUtc', 'TODAY()', '2026-03-04T00:00:00.000Z', '2026-03-03T08:00:00.000Z'],
    ['isSameWithoutUnitIsExact', "IS_SAME({When}, '2026-01-31')", 0, 1],
  ])('%s: %s', (reading, text, whenTrue, whenFalse) => {
    expect(run(text, { [reading]: true })).toBe(whenTrue);
    expect(run(text, { [reading]: false })).toBe(whenFalse);
  });

  test('functionNamesIgnoreCase: and(1)', () => {
    expect(run('and(1)', { functionNamesIgnoreCase: true })).toBe(1);
    expect(() => run('and(1)', { functionNamesIgnoreCase: false })).toThrow(
      FormulaError.unknownFunctions(['and']),
    );
  });

  test('linksAreArrays: a link field is an array or its joined names', () => {
    const links = (linksAreArrays: boolean) =>
      fieldToFormulaValue({ type: 'multipleRecordLinks' }, ['A', 'B'], {
        ...DEFAULT_FORMULA_READINGS,
        linksAreArrays,
      });
    expect(links(true)).toEqual(['A', 'B']);
    expect(links(false)).toBe('A, B');
  });

  test('attachmentTextHasUrl: an attachment reads with or without its address', () => {
    const text = (attachmentTextHasUrl: boolean) =>
      fieldToFormulaValue(
        { type: 'multipleAttachments' },
        [{ filename: 'a.png', url: 'https://x.example/a' }],
        {
          ...DEFAULT_FORMULA_READINGS,
          attachmentTextHasUrl,
        },
      );
    expect(text(true)).toBe('a.png (https://x.example/a)');
    expect(text(false)).toBe('a.png');
  });
});
