import type { FieldDoc, RecordDoc, SeedBase, TableDoc } from '../../../sandbox/bases/documents.ts';

export const BASE_ID = 'appFixture0000001';
export const THINGS_ID = 'tblThings00000001';
export const PEOPLE_ID = 'tblPeople00000001';

/** The id of a field of the fixture: `fieldId('Name')`; people's fields start with `People.`. */
export function fieldId(name: string): string {
  const all = [
    ...things.fields,
    ...people.fields.map((field) => ({ ...field, name: `People.${field.name}` })),
  ];
  const field = all.find((candidate) => candidate.name === name);
  if (field === undefined) throw new Error(`The fixture has no field ${name}`);
  return field.id;
}

function fields(prefix: string, list: Omit<FieldDoc, 'id'>[]): FieldDoc[] {
  return list.map((field, index) => ({ id: `fld${prefix}${String(index).padStart(8, '0')}`, ...field }));
}

const dateFormat = { name: 'iso', format: 'YYYY-MM-DD' };
const timeFormat = { name: '24hour', format: 'HH:mm' };
const choices = [
  { id: 'selLow00000000001', name: 'Low', color: 'blueLight2' },
  { id: 'selHigh0000000002', name: 'High', color: 'redBright' },
  { id: 'selAverage0000003', name: 'Average' },
];

const THING_LINK = 'fldThing00000016';
const PERSON_LINK = 'fldPerson00000002';

export const things: TableDoc = {
  id: THINGS_ID,
  baseId: BASE_ID,
  name: 'Things / all types',
  description: 'One field of each type',
  primaryFieldId: 'fldThing00000000',
  fields: fields('Thing', [
    { name: 'Name', type: 'singleLineText', description: 'The name' },
    { name: 'Notes', type: 'multilineText' },
    { name: 'Rich', type: 'richText' },
    { name: 'Email', type: 'email' },
    { name: 'Site', type: 'url' },
    { name: 'Phone', type: 'phoneNumber' },
    { name: 'Number', type: 'number', options: { precision: 2 } },
    { name: 'Percent', type: 'percent', options: { precision: 1 } },
    { name: 'Price', type: 'currency', options: { precision: 2, symbol: '$' } },
    { name: 'Rating', type: 'rating', options: { icon: 'star', color: 'yellowBright', max: 5 } },
    { name: 'Duration', type: 'duration', options: { durationFormat: 'h:mm:ss' } },
    { name: 'Done', type: 'checkbox', options: { icon: 'check', color: 'greenBright' } },
    { name: 'Day', type: 'date', options: { dateFormat } },
    { name: 'When', type: 'dateTime', options: { dateFormat, timeFormat, timeZone: 'Europe/Paris' } },
    { name: 'Level', type: 'singleSelect', options: { choices } },
    { name: 'Tags', type: 'multipleSelects', options: { choices } },
    {
      name: 'People',
      type: 'multipleRecordLinks',
      options: {
        linkedTableId: PEOPLE_ID,
        isReversed: false,
        prefersSingleRecordLink: false,
        inverseLinkFieldId: PERSON_LINK,
      },
    },
    { name: 'Owner', type: 'singleCollaborator' },
    { name: 'Team', type: 'multipleCollaborators', options: {} },
    { name: 'Files', type: 'multipleAttachments', options: { isReversed: false } },
    { name: 'Code', type: 'barcode' },
    {
      name: 'Open',
      type: 'button',
      button: { label: 'Open', urlFormula: "'https://example.com/' & {Name}" },
    },
    { name: 'Serial', type: 'autoNumber' },
    { name: 'People count', type: 'count', options: { isValid: true, recordLinkFieldId: THING_LINK } },
    {
      name: 'Created',
      type: 'createdTime',
      options: { result: { type: 'dateTime', options: { dateFormat, timeFormat, timeZone: 'utc' } } },
    },
    {
      name: 'Modified',
      type: 'lastModifiedTime',
      options: {
        isValid: true,
        referencedFieldIds: [],
        result: { type: 'dateTime', options: { dateFormat, timeFormat, timeZone: 'utc' } },
      },
    },
    { name: 'Creator', type: 'createdBy' },
    { name: 'Modifier', type: 'lastModifiedBy' },
    {
      name: 'Double',
      type: 'formula',
      options: {
        formula: '{fldThing00000006} * 2',
        isValid: true,
        referencedFieldIds: ['fldThing00000006'],
        result: { type: 'number', options: { precision: 2 } },
      },
    },
    {
      name: 'Ages',
      type: 'rollup',
      aggregation: 'SUM',
      options: {
        recordLinkFieldId: THING_LINK,
        fieldIdInLinkedTable: 'fldPerson00000001',
        referencedFieldIds: [],
        isValid: true,
        result: { type: 'number', options: { precision: 0 } },
      },
    },
    {
      name: 'Person levels',
      type: 'multipleLookupValues',
      options: {
        recordLinkFieldId: THING_LINK,
        fieldIdInLinkedTable: 'fldPerson00000003',
        isValid: true,
        result: { type: 'singleSelect', options: { choices } },
      },
    },
    { name: 'Source', type: 'externalSyncSource', options: { choices } },
    { name: 'Summary', type: 'aiText' },
    {
      name: 'Broken',
      type: 'formula',
      options: { formula: 'ERROR()', isValid: true, referencedFieldIds: [], result: { type: 'number' } },
    },
    {
      name: 'Infinite',
      type: 'formula',
      options: { formula: '0 / 0', isValid: true, referencedFieldIds: [], result: { type: 'number' } },
    },
  ]),
  views: [
    { id: 'viwThings00000001', name: 'Grid view', type: 'grid', hiddenFieldIds: ['fldThing00000001'] },
    { id: 'viwThings00000002', name: 'Board', type: 'kanban' },
    {
      id: 'viwThings00000003',
      name: 'Done, last first',
      type: 'grid',
      filterFormula: '{Done}',
      sort: [{ fieldId: 'fldThing00000000', direction: 'desc' }],
    },
  ],
};

export const people: TableDoc = {
  id: PEOPLE_ID,
  baseId: BASE_ID,
  name: 'People',
  primaryFieldId: 'fldPerson00000000',
  fields: fields('Person', [
    { name: 'Name', type: 'singleLineText' },
    { name: 'Age', type: 'number', options: { precision: 0 } },
    {
      name: 'Things',
      type: 'multipleRecordLinks',
      options: {
        linkedTableId: THINGS_ID,
        isReversed: true,
        prefersSingleRecordLink: false,
        inverseLinkFieldId: THING_LINK,
      },
    },
    { name: 'Level', type: 'singleSelect', options: { choices } },
  ]),
  views: [{ id: 'viwPeople00000001', name: 'Grid view', type: 'grid' }],
};

function person(id: string, name: string, age: number, level: string): RecordDoc {
  return {
    id,
    tableId: PEOPLE_ID,
    createdTime: '2026-01-02T03:04:05.000Z',
    cells: { fldPerson00000000: name, fldPerson00000001: age, fldPerson00000003: level },
  };
}

export const ANN = 'recAnn00000000001';
export const BOB = 'recBob00000000002';

/** A base with a field of every type, two people, and no things. */
export function fixtureBase(): SeedBase {
  return {
    id: BASE_ID,
    name: 'Fixture',
    tables: [things, people],
    records: [person(ANN, 'Ann', 40, 'High'), person(BOB, 'Bob', 20, 'Low')],
  };
}
