import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { editSchema } from '../../../sandbox/bases/edits.ts';
import type { TableDoc } from '../../../sandbox/bases/documents.ts';
import type { Transaction } from '../../../sandbox/changes/transaction.ts';
import { ANN, BASE_ID, fieldId, PEOPLE_ID, THINGS_ID } from '../records/fixture-base.ts';
import { RecordApi } from '../records/record-api.ts';

let api: RecordApi;
let transactions: Transaction[];
beforeEach(async () => {
  api = await RecordApi.start();
  transactions = [];
  api.sandbox.context.ledger.onTransaction((transaction) => transactions.push(transaction));
});
afterEach(() => api[Symbol.asyncDispose]());

function edit(action: Record<string, unknown>): ReturnType<typeof editSchema> {
  return editSchema(api.sandbox.context, { baseId: BASE_ID, ...action });
}

function table(tableId: string): TableDoc | undefined {
  return api.sandbox.context.bases.table(tableId);
}

describe('fields', () => {
  test('can be added, with choices that get ids, and written at once', async () => {
    const options = { choices: [{ name: 'Red' }] };
    const { fieldId: id = '' } = edit({
      addField: { tableId: THINGS_ID, name: 'Color', type: 'singleSelect', options },
    });
    expect((await api.create(THINGS_ID, { Color: 'Red' })).fields).toMatchObject({ Color: 'Red' });
    expect(transactions[0]).toMatchObject({
      source: 'client',
      changedTablesById: {
        [THINGS_ID]: { createdFieldsById: { [id]: { name: 'Color', type: 'singleSelect' } } },
      },
    });
  });

  test('that link get their inverse', async () => {
    const options = { linkedTableId: PEOPLE_ID };
    edit({ addField: { tableId: THINGS_ID, name: 'Editor', type: 'multipleRecordLinks', options } });
    const { id } = await api.create(THINGS_ID, { Editor: [ANN] });
    expect((await api.read(ANN)).fields).toMatchObject({ 'Things / all types': [id] });
  });

  test('can be renamed', async () => {
    edit({ renameField: { tableId: THINGS_ID, fieldId: 'Notes', name: 'Remarks' } });
    expect((await api.create(THINGS_ID, { Remarks: 'x' })).fields).toMatchObject({ Remarks: 'x' });
    expect(transactions[0]?.changedTablesById[THINGS_ID]?.changedFieldsById).toEqual({
      [fieldId('Notes')]: { current: { name: 'Remarks' }, previous: { name: 'Notes' } },
    });
  });

  test('can become others, with the cells that these can hold', async () => {
    const [number, words] = [
      await api.create(THINGS_ID, { Notes: '1.5' }),
      await api.create(THINGS_ID, { Notes: 'x' }),
    ];
    edit({
      retypeField: { tableId: THINGS_ID, fieldId: 'Notes', type: 'number', options: { precision: 1 } },
    });
    expect((await api.read(number.id)).fields).toMatchObject({ Notes: 1.5 });
    expect((await api.read(words.id)).fields).not.toHaveProperty('Notes');
    expect(transactions.at(-1)?.changedTablesById[THINGS_ID]?.changedFieldsById).toMatchObject({
      [fieldId('Notes')]: { current: { type: 'number' } },
    });
    expect(() => edit({ retypeField: { tableId: THINGS_ID, fieldId: 'People', type: 'number' } })).toThrow(
      'among',
    );
  });

  test('that are removed take cells and inverse along, and what reads them is no longer valid', async () => {
    const { id } = await api.create(THINGS_ID, { Name: 'T', People: [ANN] });
    edit({ removeField: { tableId: THINGS_ID, fieldId: 'People' } });
    const { fields } = await api.read(id);
    expect(fields).not.toHaveProperty('People');
    expect(fields).not.toHaveProperty('Person levels');
    expect(fields['Ages']).toEqual({ error: '#ERROR!' });
    expect((await api.read(ANN)).fields).not.toHaveProperty('Things');
    expect(transactions.at(-1)?.changedTablesById).toMatchObject({
      [THINGS_ID]: { destroyedFieldIds: [fieldId('People')] },
      [PEOPLE_ID]: { destroyedFieldIds: ['fldPerson00000002'] },
    });
    expect(table(THINGS_ID)?.fields.find(({ name }) => name === 'Ages')?.options?.isValid).toBe(false);
  });
});

describe('tables', () => {
  test('can be added and used', async () => {
    const { tableId } = edit({
      addTable: { name: 'Fresh', fields: [{ name: 'Title', type: 'singleLineText' }] },
    });
    expect((await api.create('Fresh', { Title: 'x' })).fields).toEqual({ Title: 'x' });
    expect(transactions[0]?.createdTablesById?.[tableId]?.metadata).toEqual({
      name: 'Fresh',
      description: null,
    });
  });

  test('can be renamed', () => {
    edit({ renameTable: { tableId: 'People', name: 'Persons', description: 'Humans' } });
    expect(table(PEOPLE_ID)).toMatchObject({ name: 'Persons', description: 'Humans' });
    expect(transactions[0]?.changedTablesById[PEOPLE_ID]?.changedMetadata).toEqual({
      current: { name: 'Persons', description: 'Humans' },
      previous: { name: 'People', description: null },
    });
  });

  test('that are removed take records and links along', async () => {
    const { id } = await api.create(THINGS_ID, { Name: 'T', People: [ANN] });
    edit({ removeTable: { tableId: PEOPLE_ID } });
    expect((await api.list('People')).status).toBe(403);
    expect((await api.read(id)).fields).not.toHaveProperty('People');
    expect(transactions.at(-1)?.destroyedTableIds).toEqual([PEOPLE_ID]);
  });
});

test.each([
  [{}],
  [{ addTable: { name: 'A' }, removeTable: { tableId: PEOPLE_ID } }],
  [{ addTable: { name: 'People' } }],
  [{ addField: { tableId: THINGS_ID, name: 'Name', type: 'number' } }],
  [{ addField: { tableId: THINGS_ID, name: 'X', type: 'magic' } }],
  [{ renameField: { tableId: THINGS_ID, fieldId: 'Nope', name: 'X' } }],
  [{ removeField: { tableId: THINGS_ID, fieldId: 'Name' } }],
  [{ removeTable: { tableId: 'Nope' } }],
])('%j is refused and changes nothing', (action) => {
  const before = JSON.stringify(api.sandbox.context.bases.tables(BASE_ID));
  expect(() => edit(action)).toThrow();
  expect(JSON.stringify(api.sandbox.context.bases.tables(BASE_ID))).toBe(before);
  expect(transactions).toEqual([]);
});
