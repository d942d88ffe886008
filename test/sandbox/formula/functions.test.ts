import { describe, expect, test } from '@jest/globals';
import { run } from './sample-record.ts';

type Row = [text: string, expected: unknown];

describe('logic', () => {
  test.each<Row>([
    ['AND(1, {Name})', 1],
    ['AND(1, {Empty})', 0],
    ['OR(0, {Name})', 1],
    ["OR(0, '')", 0],
    ['XOR(1, 1, 1)', 1],
    ['XOR(1, 1)', 0],
    ['NOT({Empty})', 1],
    ["IF({Name}, 'yes', 'no')", 'yes'],
    ["IF({Empty}, 'yes')", null],
    ["SWITCH({Score}, 1, 'one', 42, 'answer', 'other')", 'answer'],
    ["SWITCH({Score}, 1, 'one', 'other')", 'other'],
    ["SWITCH({Score}, 1, 'one')", null],
    ['BLANK()', null],
    ['ERROR()', '#Error!'],
    ['ISERROR(ERROR())', 1],
    ['ISERROR(1)', 0],
    ['AND(1, ERROR())', '#Error!'],
  ])('%s', (text, expected) => {
    expect(run(text)).toBe(expected);
  });
});

describe('text', () => {
  test.each<Row>([
    ["FIND('a', 'banana')", 2],
    ["FIND('a', 'banana', 3)", 4],
    ["FIND('A', 'banana')", 0],
    ["SEARCH('AN', 'banana')", 2],
    ["SEARCH('x', 'banana')", null],
    ["LOWER('ÄB')", 'äb'],
    ["UPPER('äb')", 'ÄB'],
    ["TRIM('  a b ')", 'a b'],
    ["LEN('abc')", 3],
    ["LEFT('abc', 2)", 'ab'],
    ["RIGHT('abc', 2)", 'bc'],
    ["MID('abcdef', 2, 3)", 'bcd'],
    ["CONCATENATE('a', 1, {Empty})", 'a1'],
    ["SUBSTITUTE('a-b-c', '-', '+')", 'a+b+c'],
    ["SUBSTITUTE('a-b-c', '-', '+', 2)", 'a-b+c'],
    ["REPLACE('abcdef', 2, 3, 'X')", 'aXef'],
    ["REPT('ab', 3)", 'ababab'],
    ["REPT('ab', 1000000)", '#Error!'],
    ["T('a')", 'a'],
    ['T(1)', null],
    ["VALUE('$1,234.50')", 1234.5],
    ["VALUE('x')", '#Error!'],
    ["ENCODE_URL_COMPONENT('a b&ü')", 'a%20b%26%C3%BC'],
    ["REGEX_MATCH('banana', 'n.n')", 1],
    ["REGEX_MATCH('banana', '^n')", 0],
    ["REGEX_MATCH('BANANA', '(?i)nan')", 1],
    ["REGEX_EXTRACT('order 66', '[0-9]+')", '66'],
    ["REGEX_EXTRACT('order', '[0-9]+')", '#Error!'],
    ["REGEX_REPLACE('a1b2', '[0-9]', '#')", 'a#b#'],
    ["REGEX_MATCH('a', '(')", '#Error!'],
  ])('%s', (text, expected) => {
    expect(run(text)).toBe(expected);
  });
});

describe('arrays', () => {
  test.each<Row>([
    ["ARRAYJOIN({Links}, '; ')", 'Acme; Globex'],
    ['ARRAYJOIN({Links})', 'Acme, Globex'],
    ['ARRAYCOMPACT({Numbers})', [3, 1, 2, 3]],
    ['ARRAYFLATTEN({Links}, {One})', ['Acme', 'Globex', 5]],
    ['ARRAYUNIQUE({Numbers})', [3, 1, 2, null]],
    ['ARRAYSLICE({Numbers}, 2, 3)', [1, 2]],
    ['ARRAYSLICE({Links}, -1)', ['Globex']],
  ])('%s', (text, expected) => {
    expect(run(text)).toEqual(expected);
  });
});

describe('the record and the moment', () => {
  test.each<Row>([
    ['RECORD_ID()', 'recAAAAAAAAAAAAAA1'],
    ['CREATED_TIME()', '2026-01-02T03:04:05.678Z'],
    ['LAST_MODIFIED_TIME()', null],
    ['NOW()', '2026-03-04T05:06:07.008Z'],
    ['TODAY()', '2026-03-04T00:00:00.000Z'],
  ])('%s', (text, expected) => {
    expect(run(text)).toBe(expected);
  });

  test('LAST_MODIFIED_TIME is that of the record, or of the fields named', () => {
    const more = {
      modifiedTime: '2026-02-02T00:00:00.000Z',
      fieldsModifiedTime: (names: readonly string[]) =>
        names.includes('Score') ? '2026-02-01T00:00:00.000Z' : undefined,
    };
    expect(run('LAST_MODIFIED_TIME()', {}, more)).toBe('2026-02-02T00:00:00.000Z');
    expect(run('LAST_MODIFIED_TIME({Name}, {Score})', {}, more)).toBe('2026-02-01T00:00:00.000Z');
    expect(run('LAST_MODIFIED_TIME({Name})', {}, more)).toBe(null);
  });
});

describe('instants', () => {
  test.each<Row>([
    ["IS_BEFORE({When}, '2026-02-01')", 1],
    ['IS_BEFORE({When}, {When})', 0],
    ["IS_AFTER({When}, '2026-01-31')", 1],
    ['IS_AFTER({Empty}, NOW())', '#Error!'],
    ['IS_AFTER({When}, DATETIME_PARSE("2026-01-31T12:34:55.000Z", "YYYY-MM-DD HH:mm:ss"))', 1],
    ["IS_SAME({When}, '2026-01-31', 'day')", 1],
    ["IS_SAME({When}, '2026-01-01', 'month')", 1],
    ["IS_SAME({When}, '2025-12-31', 'year')", 0],
    ["IS_SAME({When}, '2026-01-25', 'week')", 1],
    ["DATETIME_PARSE('2026-01-31')", '2026-01-31T00:00:00.000Z'],
    ["DATETIME_PARSE('2026-01-31T12:00:00+02:00')", '2026-01-31T10:00:00.000Z'],
    ["DATETIME_PARSE('31.12.2026 23:59', 'DD.MM.YYYY HH:mm')", '2026-12-31T23:59:00.000Z'],
    ["DATETIME_PARSE('Mar 4 26, 5:06 pm', 'MMM D YY, h:mm a')", '2026-03-04T17:06:00.000Z'],
    ["DATETIME_PARSE('1/31/2026')", '2026-01-31T00:00:00.000Z'],
    ["DATETIME_PARSE('January 31, 2026')", '2026-01-31T00:00:00.000Z'],
    ["DATETIME_PARSE('1767225600', 'X')", '2026-01-01T00:00:00.000Z'],
    ["DATETIME_PARSE('2026-02-31')", '#Error!'],
    ["DATETIME_PARSE('nonsense')", '#Error!'],
    ["DATETIME_FORMAT({When}, 'YYYY-MM-DD HH:mm:ss.SSS')", '2026-01-31 12:34:56.000'],
    ["DATETIME_FORMAT({When}, 'dddd, MMMM Do YY [at] h:mm A')", 'Saturday, January 31st 26 at 12:34 PM'],
    ["DATETIME_FORMAT({When}, 'L LT')", '01/31/2026 12:34 PM'],
    ["DATETIME_FORMAT({When}, 'Q DDDD E GGGG-[W]WW ww x')", '1 031 6 2026-W05 05 1769862896000'],
    ['DATETIME_FORMAT({When})', '2026-01-31T12:34:56.000Z'],
    ['DATESTR({When})', '2026-01-31'],
    ['TIMESTR({When})', '12:34:56'],
    ["DATEADD({When}, 1, 'month')", '2026-02-28T12:34:56.000Z'],
    ["DATEADD({When}, -1, 'years')", '2025-01-31T12:34:56.000Z'],
    ["DATEADD({When}, 90, 'minutes')", '2026-01-31T14:04:56.000Z'],
    ["DATEADD({When}, 1, 'fortnight')", '#Error!'],
    ["DATETIME_DIFF('2026-03-01', '2026-01-31', 'days')", 29],
    ["DATETIME_DIFF('2026-01-31', '2026-03-01', 'months')", -1],
    ["DATETIME_DIFF('2026-01-01', '2025-01-02', 'years')", 0],
    ["DATETIME_DIFF('2026-01-01T00:00:01Z', '2026-01-01', 'milliseconds')", 1000],
    ["DATETIME_FORMAT(SET_TIMEZONE({When}, 'Asia/Tokyo'), 'HH:mm Z')", '21:34 +09:00'],
    ["SET_TIMEZONE({When}, 'Atlantis/Capital')", '#Error!'],
    ["DATETIME_FORMAT(SET_LOCALE({When}, 'en-gb'), 'YYYY')", '2026'],
  ])('%s', (text, expected) => {
    expect(run(text)).toBe(expected);
  });
});

describe('the calendar', () => {
  test.each<Row>([
    ['YEAR({When})', 2026],
    ['MONTH({When})', 1],
    ['DAY({When})', 31],
    ['HOUR({When})', 12],
    ['MINUTE({When})', 34],
    ['SECOND({When})', 56],
    ['WEEKDAY({When})', 6],
    ["WEEKDAY({When}, 'Monday')", 5],
    ["WEEKNUM('2026-01-03')", 1],
    ["WEEKNUM('2026-01-04')", 2],
    ["WEEKNUM('2026-01-04', 'Monday')", 1],
    ["WORKDAY('2026-01-02', 1)", '2026-01-05T00:00:00.000Z'],
    ["WORKDAY('2026-01-02', 1, '2026-01-05')", '2026-01-06T00:00:00.000Z'],
    ["WORKDAY('2026-01-05', -1)", '2026-01-02T00:00:00.000Z'],
    ["WORKDAY_DIFF('2026-01-01', '2026-01-07')", 5],
    ["FROMNOW('2026-03-02T05:06:07.008Z')", '2 days'],
    ["TONOW('2026-03-04T06:06:07.008Z')", 'an hour'],
  ])('%s', (text, expected) => {
    expect(run(text)).toBe(expected);
  });
});

describe('numbers', () => {
  test.each<Row>([
    ['ABS(-2)', 2],
    ['CEILING(2.1)', 3],
    ['CEILING(21, 5)', 25],
    ['FLOOR(2.9)', 2],
    ['FLOOR(24, 5)', 20],
    ['ROUND(2.5)', 3],
    ['ROUND(-2.5)', -2],
    ['ROUND(1.005, 2)', 1.01],
    ['ROUND(1234, -2)', 1200],
    ['ROUNDUP(1.21, 1)', 1.3],
    ['ROUNDDOWN(-1.29, 1)', -1.2],
    ['INT(-1.5)', -2],
    ['EVEN(1.5)', 2],
    ['EVEN(-3)', -4],
    ['ODD(2)', 3],
    ['ODD(3)', 3],
    ['ODD(-2)', -3],
    ['MOD(7, 3)', 1],
    ['MOD(-7, 3)', 2],
    ['POWER(2, 10)', 1024],
    ['SQRT(9)', 3],
    ['EXP(0)', 1],
    ['LOG(1000)', 3],
    ['LOG(8, 2)', 3],
    ['MAX(1, {Numbers})', 3],
    ['MIN(2, {Numbers})', 1],
    ["MAX({When}, DATETIME_PARSE('2027-01-01'))", '2027-01-01T00:00:00.000Z'],
    ['SUM({Numbers}, 1)', 10],
    ['AVERAGE(1, 2, 6)', 3],
    ["COUNT(1, 'a', {Empty})", 1],
    ["COUNTA(1, 'a', {Empty})", 2],
    ["COUNTALL(1, 'a', {Empty})", 3],
    ["ABS('x')", '#Error!'],
  ])('%s', (text, expected) => {
    expect(run(text)).toBe(expected);
  });
});
