import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Transaction } from '../../../sandbox/changes/transaction.ts';
import { editRecords } from '../../../sandbox/records/edits.ts';
import { ANN, BASE_ID, BOB, fieldId, PEOPLE_ID, THINGS_ID } from './fixture-base.ts';
import { RecordApi, type RecordList, type ShownRecord } from './record-api.ts';

const TABLE = `/${BASE_ID}/${THINGS_ID}`;
const THINGS_OF_PERSON = 'fldPerson00000002';
let api: RecordApi;
const transactions: Transaction[] = [];
beforeAll(async () => {
  api = await RecordApi.start();
  api.sandbox.context.ledger.onTransaction((transaction) => transactions.push(transaction));
});
afterAll(() => api[Symbol.asyncDispose]());

function lastTransaction(): Transaction {
  const transaction = transactions.at(-1);
  if (transaction === undefined) throw new Error('There was no transaction');
  return transaction;
}

describe('links', () => {
  test('set on one side stand on the other, and both are in one transaction', async () => {
    const { id } = await api.create(THINGS_ID, { Name: 'T', People: [ANN, BOB] });
    expect((await api.read(ANN)).fields['Things']).toEqual([id]);
    const { changedTablesById } = lastTransaction();
    expect(changedTablesById[THINGS_ID]?.createdRecordsById?.[id]).toBeDefined();
    expect(Object.keys(changedTablesById[PEOPLE_ID]?.changedRecordsById ?? {})).toEqual([ANN, BOB]);
    expect(changedTablesById[PEOPLE_ID]?.changedRecordsById?.[ANN]).toMatchObject({
      current: { cellValuesByFieldId: { [THINGS_OF_PERSON]: [{ id, name: 'T' }] } },
      previous: { cellValuesByFieldId: { [THINGS_OF_PERSON]: null } },
      unchanged: { cellValuesByFieldId: { fldPerson00000000: 'Ann' } },
    });
    await api.call('DELETE', `${TABLE}/${id}`);
  });

  test('written on the reversed side work the same', async () => {
    const { id } = await api.create(THINGS_ID, { Name: 'T' });
    await api.call('PATCH', `/${BASE_ID}/${PEOPLE_ID}/${BOB}`, { fields: { Things: [id] } });
    expect((await api.read(id)).fields['People']).toEqual([BOB]);
    await api.call('PATCH', `/${BASE_ID}/${PEOPLE_ID}/${BOB}`, { fields: { Things: [] } });
    expect((await api.read(id)).fields).not.toHaveProperty('People');
  });

  test('are replaced, not added to', async () => {
    const { id } = await api.create(THINGS_ID, { Name: 'T', People: [ANN] });
    await api.call('PATCH', `${TABLE}/${id}`, { fields: { People: [BOB] } });
    expect((await api.read(ANN)).fields).not.toHaveProperty('Things');
    expect((await api.read(BOB)).fields['Things']).toEqual([id]);
    await api.call('DELETE', `${TABLE}/${id}`);
  });

  test('go with a deleted record, in the same transaction', async () => {
    const { id } = await api.create(THINGS_ID, { Name: 'T', People: [ANN] });
    await api.call('DELETE', `${TABLE}/${id}`);
    expect((await api.read(ANN)).fields).not.toHaveProperty('Things');
    const { changedTablesById } = lastTransaction();
    expect(changedTablesById[THINGS_ID]?.destroyedRecordIds).toEqual([id]);
    expect(
      changedTablesById[PEOPLE_ID]?.changedRecordsById?.[ANN]?.current.cellValuesByFieldId,
    ).toMatchObject({
      [THINGS_OF_PERSON]: null,
    });
  });

  test('of a batch may touch the same record several times', async () => {
    const records = ['A', 'B', 'C'].map((Name) => ({ fields: { Name, People: [ANN] } }));
    const answer = await api.call<{ records: { id: string }[] }>('POST', TABLE, { records });
    const ids = answer.body.records.map(({ id }) => id);
    expect((await api.read(ANN)).fields['Things']).toEqual(ids);
    await api.call('DELETE', `${TABLE}?${ids.map((id) => `records[]=${id}`).join('&')}`);
    expect((await api.read(ANN)).fields).not.toHaveProperty('Things');
  });

  test('without an inverse, within one table, lose a deleted record too', async () => {
    const list = await api.call<RecordList>(
      'GET',
      '/appABC123/Companies?filterByFormula=AND({Parent company},1)',
    );
    const [company] = list.body.records;
    const [parentId] = company?.fields['Parent company'] as string[];
    expect((await api.call('DELETE', `/appABC123/Companies/${parentId}`)).status).toBe(200);
    const after = await api.call<ShownRecord>('GET', `/appABC123/Companies/${company?.id}`);
    expect(after.body.fields).not.toHaveProperty('Parent company');
  });

  test('of every record of the CRM stand on both sides', () => {
    const { bases, records } = api.sandbox.context;
    for (const base of bases.list()) {
      for (const table of bases.tables(base.id)) {
        for (const field of table.fields) {
          const { linkedTableId = '', inverseLinkFieldId } = field.options ?? {};
          if (field.type !== 'multipleRecordLinks' || inverseLinkFieldId === undefined) continue;
          for (const record of records.of(table.id).values()) {
            for (const linkedId of (record.cells[field.id] as string[] | undefined) ?? []) {
              expect(records.find(linkedTableId, linkedId)?.cells[inverseLinkFieldId]).toContain(record.id);
            }
          }
        }
      }
    }
  });
});

describe('transactions', () => {
  test('are numbered by one per base, and carry who wrote and how', async () => {
    const { id } = await api.create(THINGS_ID, { Name: 'One' });
    const first = lastTransaction();
    await api.call('PATCH', `${TABLE}/${id}`, { fields: { Name: 'Two' } });
    const second = lastTransaction();
    expect(second).toMatchObject({ baseId: BASE_ID, source: 'publicApi', user: { name: 'Ada Lovelace' } });
    expect(second.number).toBe(first.number + 1);
    expect(second.timestamp).toMatch(/\.\d{3}Z$/);
  });

  test('tell what changed, what was before, and what stayed', async () => {
    const { id } = await api.create(THINGS_ID, { Name: 'One', Number: 5, Email: 'a@example.com' });
    await api.call('PATCH', `${TABLE}/${id}`, { fields: { Number: 6, Email: null } });
    const changed = lastTransaction().changedTablesById[THINGS_ID]?.changedRecordsById?.[id];
    expect(changed?.current.cellValuesByFieldId).toMatchObject({
      [fieldId('Number')]: 6,
      [fieldId('Double')]: 12,
      [fieldId('Email')]: null,
    });
    expect(changed?.previous.cellValuesByFieldId).toMatchObject({
      [fieldId('Number')]: 5,
      [fieldId('Double')]: 10,
      [fieldId('Email')]: 'a@example.com',
    });
    expect(changed?.unchanged.cellValuesByFieldId).toMatchObject({ [fieldId('Name')]: 'One' });
  });

  test('include computed cells of records that look the changed cell up', async () => {
    const { id } = await api.create(THINGS_ID, { Name: 'Reader', People: [ANN] });
    await api.call('PATCH', `/${BASE_ID}/${PEOPLE_ID}/${ANN}`, { fields: { Age: 41 } });
    const changed = lastTransaction().changedTablesById[THINGS_ID]?.changedRecordsById?.[id];
    expect(changed?.current.cellValuesByFieldId).toEqual({ [fieldId('Ages')]: 41 });
    expect(changed?.previous.cellValuesByFieldId).toEqual({ [fieldId('Ages')]: 40 });
  });

  test('do not arise from a write that changes nothing', async () => {
    const { id } = await api.create(THINGS_ID, { Name: 'Same' });
    const before = transactions.length;
    const answer = await api.call('PATCH', `${TABLE}/${id}`, { fields: { Name: 'Same' } });
    expect(answer.body['fields']).not.toHaveProperty('Modified');
    expect(transactions).toHaveLength(before);
  });

  test('one of a batch holds all its records', async () => {
    const records = [{ fields: { Name: 'A' } }, { fields: { Name: 'B' } }];
    const before = transactions.length;
    await api.call('POST', TABLE, { records });
    expect(transactions).toHaveLength(before + 1);
    expect(
      Object.keys(lastTransaction().changedTablesById[THINGS_ID]?.createdRecordsById ?? {}),
    ).toHaveLength(2);
  });
});

describe('the ledger', () => {
  test('lists created, updated and destroyed records in order, without holes', async () => {
    const { ledger } = api.sandbox.context;
    const { id } = await api.create(THINGS_ID, { Name: 'Ledger' });
    await api.call('PATCH', `${TABLE}/${id}`, { fields: { Name: 'Changed' } });
    await api.call('DELETE', `${TABLE}/${id}`);
    const own = ledger.changes().filter(({ recordId }) => recordId === id);
    expect(own.map(({ kind, fields }) => [kind, fields[fieldId('Name')]])).toEqual([
      ['created', 'Ledger'],
      ['updated', 'Changed'],
      ['destroyed', undefined],
    ]);
    expect(ledger.changes().map(({ sequence }) => sequence)).toEqual(
      ledger.changes().map((_, index) => index + 1),
    );
  });
});

describe('edits as by a person', () => {
  test('create, update and destroy in one transaction of the source that is named', async () => {
    const { context } = api.sandbox;
    const doomed = await api.create(THINGS_ID, { Name: 'Doomed' });
    const kept = await api.create(THINGS_ID, { Name: 'Kept' });
    const result = editRecords(context, {
      baseId: BASE_ID,
      tableId: THINGS_ID,
      create: [{ fields: { Name: 'New' } }],
      update: [{ id: kept.id, fields: { Name: 'Renamed' } }],
      destroy: [doomed.id],
      source: 'automation',
    });
    expect(lastTransaction()).toMatchObject({ number: result.transaction, source: 'automation', user: null });
    expect((await api.read(result.created[0] ?? '')).fields['Name']).toBe('New');
    expect((await api.read(kept.id)).fields['Name']).toBe('Renamed');
  });

  test('have a user when the source is the client', () => {
    editRecords(api.sandbox.context, {
      baseId: BASE_ID,
      tableId: 'People',
      update: [{ id: BOB, fields: { Age: 21 } }],
    });
    expect(lastTransaction()).toMatchObject({ source: 'client', user: { name: 'Ada Lovelace' } });
  });

  test.each([
    [{ tableId: THINGS_ID }],
    [{ baseId: BASE_ID, tableId: THINGS_ID, source: 'magic' }],
    [{ baseId: BASE_ID, tableId: THINGS_ID, destroy: ['recUnknown0000001'] }],
    [{ baseId: BASE_ID, tableId: THINGS_ID, create: [{ fields: { Nope: 1 } }] }],
  ])('%j is refused', (body) => {
    expect(() => editRecords(api.sandbox.context, body)).toThrow();
  });
});
