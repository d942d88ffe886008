import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { emptyCell, toRecordCell } from '../../src/calendly/cell-values.ts';

const choice = { id: 'sel1', name: 'Active', color: 'blueLight2' };
const person = {
  id: 'usr1',
  email: 'ada@example.com',
  name: 'Ada',
  permissionLevel: 'create',
  profilePicUrl: 'https://x',
};
const attachment = {
  id: 'att1',
  url: 'https://example.com/a.png',
  filename: 'a.png',
  size: 3,
  type: 'image/png',
};

describe('a webhook cell in the format of the record endpoints', () => {
  test.each([
    ['text', 'x', 'x'],
    ['a number', 1.5, 1.5],
    ['an emptied cell', null, null],
    ['a checkbox', true, true],
    ['a choice', choice, 'Active'],
    ['several choices', [choice, { id: 'sel2', name: 'New' }], ['Active', 'New']],
    [
      'links',
      [
        { id: 'rec1', name: 'Union Square' },
        { id: 'rec2', name: '' },
      ],
      ['rec1', 'rec2'],
    ],
    ['no links', [], []],
    ['a collaborator', person, { id: 'usr1', email: 'ada@example.com', name: 'Ada' }],
    [
      'collaborators and groups',
      [person, { id: 'ugp1', name: 'All' }],
      [
        { id: 'usr1', email: 'ada@example.com', name: 'Ada' },
        { id: 'ugp1', name: 'All' },
      ],
    ],
    ['an attachment', [attachment], [attachment]],
    ['a barcode', { text: '123', type: 'ean8' }, { text: '123', type: 'ean8' }],
    ['an error', { error: '#ERROR!' }, { error: '#ERROR!' }],
    ['a number that is none', { specialValue: 'NaN' }, { specialValue: 'NaN' }],
    [
      'generated text',
      { state: 'generated', isStale: false, value: 'x' },
      { state: 'generated', isStale: false, value: 'x' },
    ],
    [
      'a lookup, in the order of its links',
      {
        linkedRecordIds: ['rec2', 'rec1', 'rec3'],
        valuesByLinkedRecordId: { rec1: ['a'], rec2: ['b', 'c'] },
      },
      ['b', 'c', 'a'],
    ],
    [
      'a lookup of choices, links and errors',
      {
        linkedRecordIds: ['rec1'],
        valuesByLinkedRecordId: { rec1: [choice, { id: 'rec9', name: 'N' }, { error: '#ERROR!' }] },
      },
      ['Active', 'rec9', { error: '#ERROR!' }],
    ],
    [
      'a lookup of a list of choices',
      {
        linkedRecordIds: ['rec1', 'rec2'],
        valuesByLinkedRecordId: { rec1: [[choice, choice]], rec2: [[choice]] },
      },
      ['Active', 'Active', 'Active'],
    ],
    ['a lookup that names no own key', { linkedRecordIds: ['constructor'], valuesByLinkedRecordId: {} }, []],
  ])('%s', (_, webhookCell, recordCell) => {
    expect(toRecordCell(webhookCell)).toEqual(recordCell);
  });

  test('a cell that is in that format already stays as it is', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const once = toRecordCell(value);
        expect(toRecordCell(once)).toEqual(once);
      }),
    );
  });
});

test.each([
  ['checkbox', false],
  ['multipleSelects', []],
  ['multipleRecordLinks', []],
  ['multipleLookupValues', []],
  ['multipleAttachments', []],
  ['multipleCollaborators', []],
  ['singleLineText', null],
  ['number', null],
  ['singleSelect', null],
  ['a type of tomorrow', null],
])('an empty cell of type %s is %j', (type, empty) => {
  expect(emptyCell(type)).toEqual(empty);
});
