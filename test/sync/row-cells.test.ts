import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { columnValue, kindOf, ownColumnTypes } from '../../src/sync/values/column-types.ts';
import { localCells } from '../../src/sync/target/local-rows.ts';
import { isSent, rowCell } from '../../src/sync/values/row-cells.ts';
import { sameCell } from '../../src/sync/values/same-cell.ts';
import type { MappedColumn } from '../../src/sync/sync.ts';

function column(fieldType: string, columnType?: string): MappedColumn {
  const own = { fieldType, valueType: fieldType };
  return {
    ...own,
    fieldId: 'fld1',
    fieldName: 'Field',
    computed: false,
    column: 'field',
    columnType: columnType ?? ownColumnTypes[kindOf(own)],
    goneAt: null,
  };
}

const text = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 });
const number = fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => (value === 0 ? 0 : value));
const moment = fc
  .date({ min: new Date('0001-01-02T00:00:00Z'), max: new Date('9999-12-30T00:00:00Z'), noInvalidDate: true })
  .map((at) => at.toISOString());
const list = fc.uniqueArray(text, { minLength: 1, maxLength: 5 });
const person = fc.record({
  id: fc.constantFrom('usr1', 'usr2'),
  email: fc.constant('a@example.com'),
  name: text,
});

/** Cells as the upstream gives them, by the type of their field. */
const cellsByType: Record<string, fc.Arbitrary<unknown>> = {
  singleLineText: text,
  multilineText: text,
  richText: text,
  email: text,
  url: text,
  phoneNumber: text,
  singleSelect: text,
  number,
  percent: number,
  currency: number,
  duration: number,
  rating: fc.integer({ min: 1, max: 10 }),
  checkbox: fc.constant(true),
  date: moment.map((at) => at.slice(0, 10)),
  dateTime: moment,
  multipleSelects: list,
  multipleRecordLinks: list,
  singleCollaborator: person,
  multipleCollaborators: fc.array(person, { minLength: 1, maxLength: 3 }),
  barcode: fc.record({ text, type: fc.constant('code39') }),
};

describe('a cell that was written into a column of ours', () => {
  test.each(Object.entries(cellsByType))('reads back as the same cell: %s', (fieldType, cells) => {
    const mapped = column(fieldType);
    fc.assert(
      fc.property(fc.option(cells, { nil: undefined }), (cell) => {
        const value = JSON.parse(JSON.stringify(columnValue(mapped, cell))) as unknown;
        const read = rowCell(mapped, value);
        expect(read).toHaveProperty('cell');
        if ('cell' in read) expect(sameCell(mapped, read.cell, cell)).toBe(true);
        // And next to what is known of the record nothing has changed.
        const known = cell === undefined ? {} : { fld1: cell };
        expect(localCells([mapped], { field: value }, known)).toEqual({ cells: known, faults: [] });
      }),
    );
  });

  test.each(Object.entries(cellsByType))('differs from another value: %s', (fieldType, cells) => {
    if (fieldType === 'checkbox') return;
    const mapped = column(fieldType);
    fc.assert(
      fc.property(cells, cells, (one, other) => {
        const plain = (cell: unknown): unknown =>
          fieldType.includes('ollaborator') ? [cell].flat().map((who) => (who as { id: string }).id) : cell;
        const isSame = JSON.stringify(plain(one)) === JSON.stringify(plain(other));
        expect(sameCell(mapped, one, other)).toBe(isSame);
        expect(sameCell(mapped, one, undefined)).toBe(false);
      }),
    );
  });
});

describe('what a row can hold, and what becomes of it', () => {
  test.each([
    ['text', null, 'singleLineText', { cell: null }],
    ['an empty text', '', 'singleLineText', { cell: null }],
    ['a number in a text', 7, 'singleLineText', { cell: '7' }],
    ['a text that is a number', ' 1e3 ', 'number', { cell: 1000 }],
    ['minus zero', -0, 'number', { cell: 0 }],
    ['a checkbox that is not checked', false, 'checkbox', { cell: null }],
    [
      'a time of another zone',
      '2026-03-01T00:30:00.123456+02:00',
      'dateTime',
      { cell: '2026-02-28T22:30:00.123Z' },
    ],
    ['a time without a zone', '2026-03-01T00:30:00', 'dateTime', { cell: '2026-03-01T00:30:00.000Z' }],
    ['the date of a time', '2026-03-01T00:30:00+00:00', 'date', { cell: '2026-03-01' }],
    ['a list with nothing in it', [null], 'multipleSelects', { cell: null }],
    ['the same twice', ['a', 'b', 'a'], 'multipleSelects', { cell: ['a', 'b'] }],
    ['one link as a text', 'rec1', 'multipleRecordLinks', { cell: ['rec1'] }],
    ['somebody by address', 'a@example.com', 'singleCollaborator', { cell: { email: 'a@example.com' } }],
  ])('%s', (_what, value, fieldType, expected) => {
    expect(rowCell(column(fieldType), value)).toEqual(expected);
  });

  test.each([
    ['NaN', 'number'],
    ['7 or so', 'number'],
    ['infinity', 'dateTime'],
    ['0044-03-15 BC', 'date'],
    ['2026-02-30', 'date'],
    [{ some: 'thing' }, 'singleLineText'],
    [[1], 'multipleSelects'],
  ])('%j is refused for a %s, in words', (value, fieldType) => {
    const read = rowCell(column(fieldType), value);
    expect('fault' in read && read.fault).toMatch(/^holds .+, which is no /);
  });

  test('microseconds, which the upstream does not keep, are no change', () => {
    const mapped = column('dateTime');
    const row = { field: '2026-03-01T00:30:00.123456+00:00' };
    expect(localCells([mapped], row, { fld1: '2026-03-01T00:30:00.123Z' }).cells).toEqual({
      fld1: '2026-03-01T00:30:00.123Z',
    });
  });

  test('attachments and computed fields are not sent', () => {
    expect(isSent(column('multipleAttachments'))).toBe(false);
    expect(isSent({ fieldType: 'number', computed: true })).toBe(false);
    const link = (url: string) => [{ id: 'att1', url, filename: 'a.png' }];
    expect(sameCell(column('multipleAttachments'), link('https://a'), link('https://b'))).toBe(true);
  });
});
