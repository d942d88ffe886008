import { describe, expect, test } from '@jest/globals';
import { fieldToFormulaValue } from '../../../sandbox/formula/field-value.ts';
import { FormulaFailure, type FormulaValue } from '../../../sandbox/formula/value.ts';
import { run } from './sample-record.ts';

const INSTANT = new Date('2026-01-31T12:34:56.000Z');
const COLLABORATOR = { id: 'usr1', email: 'ada@example.com', name: 'Ada' };

describe('what a field evaluates to', () => {
  test.each<[string, unknown, FormulaValue]>([
    ['singleLineText', 'x', 'x'],
    ['singleLineText', undefined, null],
    ['email', 'a@b.example', 'a@b.example'],
    ['url', 'https://a.example', 'https://a.example'],
    ['phoneNumber', '+1 555', '+1 555'],
    ['number', 0, 0],
    ['number', undefined, null],
    ['currency', 1.5, 1.5],
    ['percent', 0.5, 0.5],
    ['rating', 3, 3],
    ['duration', 60, 60],
    ['autoNumber', 9, 9],
    ['count', 0, 0],
    ['checkbox', true, 1],
    ['checkbox', undefined, 0],
    ['date', '2026-01-31', new Date('2026-01-31T00:00:00.000Z')],
    ['dateTime', '2026-01-31T12:34:56.000Z', INSTANT],
    ['createdTime', '2026-01-31T12:34:56.000Z', INSTANT],
    ['singleSelect', 'Active', 'Active'],
    ['multipleSelects', ['a', 'b'], 'a, b'],
    ['multipleRecordLinks', ['Acme', 'Globex'], ['Acme', 'Globex']],
    ['singleCollaborator', COLLABORATOR, 'Ada'],
    ['singleCollaborator', { id: 'usr1', email: 'ada@example.com' }, 'ada@example.com'],
    ['multipleCollaborators', [COLLABORATOR, COLLABORATOR], 'Ada, Ada'],
    ['multipleLookupValues', ['a', 1, true], ['a', 1, 1]],
    [
      'multipleAttachments',
      [{ filename: 'a.png', url: 'https://x.example/a' }],
      'a.png (https://x.example/a)',
    ],
    ['barcode', { text: '123', type: 'ean13' }, '123'],
    ['number', { specialValue: 'NaN' }, Number.NaN],
  ])('%s of %j', (type, cell, expected) => {
    expect(fieldToFormulaValue({ type }, cell)).toEqual(expected);
  });

  test('an error cell is a failure', () => {
    expect(fieldToFormulaValue({ type: 'formula' }, { error: '#ERROR!' })).toBeInstanceOf(FormulaFailure);
  });

  test('a computed field that says it gives dates gives instants, also inside lookups', () => {
    const options = { result: { type: 'dateTime' } };
    expect(fieldToFormulaValue({ type: 'formula', options }, '2026-01-31T12:34:56.000Z')).toEqual(INSTANT);
    expect(
      fieldToFormulaValue({ type: 'multipleLookupValues', options }, ['2026-01-31T12:34:56.000Z']),
    ).toEqual([INSTANT]);
  });
});

describe('values in use', () => {
  test.each<[string, string, unknown]>([
    ['a checkbox equals TRUE()', '{Done}=TRUE()', 1],
    ['an empty checkbox equals FALSE()', '{Undone}=FALSE()', 1],
    ['NOT of an empty checkbox', 'NOT({Undone})', 1],
    ['a date coerces to ISO text', "FIND('2026-01-31', {When})", 1],
    ['an array joins as text', "{Links} & ''", 'Acme, Globex'],
    ['an array of one is its item', '{One} + 1', 6],
    ['blank counts as 0 in arithmetic', '{Empty} + 1', 1],
    ['blank is empty text in &', "{Empty} & 'x'", 'x'],
    ['division by zero', '1 / 0', Infinity],
    ['zero by zero', '0 / 0', Number.NaN],
  ])('%s', (_, text, expected) => {
    expect(run(text)).toBe(expected);
  });
});

describe('blank and comparison', () => {
  test.each<[string, string, number]>([
    ['empty equals empty text', "{Empty} = ''", 1],
    ['the "not empty" idiom of a full cell', "NOT({Name} = '')", 1],
    ['the "not empty" idiom of an empty cell', "NOT({Empty} = '')", 0],
    ['empty equals BLANK()', '{Empty} = BLANK()', 1],
    ['text is not blank', '{Name} = BLANK()', 0],
    ['0 does not equal empty text', "{Zero} = ''", 0],
    ['text is compared with case', "{Name} = 'ada lovelace'", 0],
    ['text is ordered by characters', "'abc' < 'abd'", 1],
    ['instants match to the millisecond', "{When} = DATETIME_PARSE('2026-01-31T12:34:56.000Z')", 1],
    ['a millisecond off does not match', "{When} = DATETIME_PARSE('2026-01-31T12:34:56.001Z')", 0],
    ['instants are ordered', "{When} < DATETIME_PARSE('2026-02-01')", 1],
    ['an instant against text that is a date', "{When} >= '2026-01-31'", 1],
    ['an instant against text that is none', "{When} = 'soon'", 0],
    ['text that is no number is in no order with numbers', "'x' < 1", 0],
    ['and differs from them', "'x' != 1", 1],
  ])('%s', (_, text, expected) => {
    expect(run(text)).toBe(expected);
  });
});
