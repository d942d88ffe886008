import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { TableSchema } from '../../src/bases/table-schema.ts';
import { CellRow } from '../../src/records/cell-row.ts';
import {
  problemsOf,
  readCell,
  readChecked,
  readDate,
  readLinks,
  readNumber,
  readText,
} from '../../src/records/cell-values.ts';

const types: Record<string, { options?: Record<string, unknown> }> = {
  singleLineText: {},
  number: {},
  checkbox: {},
  date: {},
  dateTime: {},
  singleSelect: {},
  multipleSelects: {},
  singleCollaborator: {},
  multipleCollaborators: {},
  multipleAttachments: {},
  barcode: {},
  button: {},
  aiText: {},
  multipleLookupValues: {},
  somethingNew: {},
  multipleRecordLinks: { options: { linkedTableId: 'tbl2' } },
  formula: {},
  rollup: { options: { result: { type: 'number' } } },
};
const table = new TableSchema({
  id: 'tbl1',
  name: 'Table',
  primaryFieldId: 'fldsingleLineText',
  views: [],
  fields: [
    ...Object.entries(types).map(([type, rest]) => ({ id: `fld${type}`, name: type, type, ...rest })),
    { id: 'fldChecked', name: 'Checked formula', type: 'formula', options: { result: { type: 'checkbox' } } },
    { id: 'fldProto', name: '__proto__', type: 'singleLineText' },
  ],
});
const field = (name: string) => table.getField(name);

describe('an empty cell', () => {
  test.each([
    ['singleLineText', null],
    ['number', null],
    ['date', null],
    ['singleSelect', null],
    ['checkbox', false],
    ['Checked formula', false],
    ['multipleSelects', []],
    ['multipleRecordLinks', []],
    ['multipleAttachments', []],
    ['multipleLookupValues', []],
    ['somethingNew', null],
  ])('of type %s is %j', (name, empty) => {
    expect(readCell(field(name), undefined)).toEqual(empty);
  });
});

test('every field asked for is there, under the name it was asked by, whatever it is called', () => {
  const cells = { fldsingleLineText: 'x', fldProto: 'y' };
  const all = new CellRow(table, null).read(cells);
  expect(Object.keys(all)).toEqual(table.fields.map(({ name }) => name));
  expect(Object.getPrototypeOf(all)).toBe(Object.prototype);
  expect(
    JSON.parse(
      JSON.stringify(new CellRow(table, ['fldsingleLineText', '__proto__', 'checkbox']).read(cells)),
    ),
  ).toEqual(JSON.parse('{"fldsingleLineText":"x","__proto__":"y","checkbox":false}'));
  expect(() => new CellRow(table, ['chekbox']).read(cells)).toThrow('Did you mean "checkbox"?');
});

test('error cells and numbers that are none read as null and are told as problems', () => {
  const cells = {
    fldformula: { error: '#ERROR!' },
    fldrollup: { specialValue: 'NaN' },
    fldmultipleLookupValues: [1, { error: '#ERROR!' }, 2],
  };
  expect(new CellRow(table, ['formula', 'rollup', 'multipleLookupValues']).read(cells)).toEqual({
    formula: null,
    rollup: null,
    multipleLookupValues: [1, null, 2],
  });
  expect(problemsOf(table.fields, cells).map((problem) => [problem.field.name, problem.code])).toEqual([
    ['multipleLookupValues', 'CELL_ERROR'],
    ['formula', 'CELL_ERROR'],
    ['rollup', 'NOT_A_NUMBER'],
  ]);
  expect(problemsOf(table.fields, {})).toEqual([]);
});

test.each([
  ['singleLineText', 'a', 'a'],
  ['number', 0, '0'],
  ['checkbox', true, 'true'],
  ['checkbox', undefined, null],
  ['multipleSelects', ['a', 'b'], 'a, b'],
  ['singleCollaborator', { id: 'usr1', email: 'a@b.c', name: 'Ada' }, 'Ada'],
  ['multipleAttachments', [{ id: 'att1', url: 'x', filename: 'f.png' }], 'f.png'],
  ['barcode', { text: '123', type: 'ean' }, '123'],
  ['button', { label: 'Go', url: null }, 'Go'],
  ['aiText', { state: 'generated', isStale: false, value: 'v' }, 'v'],
  ['formula', { error: '#ERROR!' }, null],
])('%s %j reads as the text %j', (name, cell, text) => {
  expect(readText(field(name), cell)).toBe(text);
});

test('numbers, dates, checkboxes and links are read from fields that hold them, and refused from others', () => {
  expect(readNumber(field('rollup'), 1.5)).toBe(1.5);
  expect(readNumber(field('number'), undefined)).toBeNull();
  expect(readNumber(field('formula'), undefined)).toBeNull();
  expect(() => readNumber(field('singleLineText'), '1')).toThrow(
    expect.objectContaining({ code: 'FIELD_TYPE_MISMATCH' }),
  );
  expect(readDate(field('date'), '2026-01-31')).toEqual(new Date('2026-01-31T00:00:00Z'));
  expect(readDate(field('formula'), '2026-01-31T07:00:00.000Z')).toEqual(new Date('2026-01-31T07:00:00Z'));
  expect(() => readDate(field('singleLineText'), '2026-01-31')).toThrow(
    expect.objectContaining({ code: 'FIELD_TYPE_MISMATCH' }),
  );
  expect(readChecked(field('checkbox'), undefined)).toBe(false);
  expect(readChecked(field('Checked formula'), true)).toBe(true);
  expect(() => readChecked(field('number'), 1)).toThrow(
    expect.objectContaining({ code: 'FIELD_TYPE_MISMATCH' }),
  );
  expect(readLinks(field('multipleRecordLinks'), ['rec1', 'rec2'])).toEqual(['rec1', 'rec2']);
  expect(() => readLinks(field('singleLineText'), 'rec1')).toThrow(
    expect.objectContaining({ code: 'FIELD_TYPE_MISMATCH' }),
  );
});

test('no cell of any shape makes reading fail in an uncoded way', () => {
  fc.assert(
    fc.property(fc.constantFrom(...table.fields), fc.jsonValue(), (anyField, cell) => {
      readCell(anyField, cell);
      readText(anyField, cell);
      problemsOf([anyField], { [anyField.id]: cell });
      for (const read of [readNumber, readDate, readChecked, readLinks]) {
        try {
          read(anyField, cell);
        } catch (error) {
          expect(error).toMatchObject({ code: 'FIELD_TYPE_MISMATCH' });
        }
      }
    }),
  );
});
