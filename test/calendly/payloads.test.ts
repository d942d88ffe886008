import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { decodePayload } from '../../src/calendly/payloads.ts';

const documented = {
  timestamp: '2026-01-02T03:04:05.000Z',
  baseTransactionNumber: 4,
  payloadFormat: 'v0',
  actionMetadata: {
    source: 'client',
    sourceMetadata: {
      user: {
        id: 'usr1',
        email: 'a@example.com',
        permissionLevel: 'create',
        name: 'A',
        profilePicUrl: 'https://x',
      },
    },
  },
  changedTablesById: {
    tbl1: {
      createdRecordsById: {
        rec1: {
          createdTime: '2026-01-02T03:04:05.000Z',
          cellValuesByFieldId: { fld1: 'x', fld2: { id: 'sel1', name: 'Active' } },
        },
      },
      changedRecordsById: {
        rec2: {
          current: { cellValuesByFieldId: { fld1: 'new' } },
          previous: { cellValuesByFieldId: { fld1: 'old' } },
          unchanged: { cellValuesByFieldId: { fld3: [{ id: 'rec9', name: 'N' }] } },
        },
      },
      destroyedRecordIds: ['rec3'],
      createdFieldsById: { fld3: { name: 'Qty', type: 'number' } },
      changedFieldsById: { fld4: { current: { name: 'New' }, previous: { name: 'Old' } } },
      destroyedFieldIds: ['fld5'],
      changedMetadata: {
        current: { name: 'T', description: 'd' },
        previous: { name: 't', description: null },
      },
      changedViewsById: {
        viw1: { createdRecordsById: {}, changedRecordsById: {}, destroyedRecordIds: ['rec4'] },
      },
    },
  },
  createdTablesById: {
    tbl9: {
      metadata: { name: 'New', description: null },
      fieldsById: { fld9: { name: 'Name', type: 'singleLineText' } },
      recordsById: { rec9: { createdTime: '2026-01-02T03:04:05.000Z', cellValuesByFieldId: {} } },
    },
  },
  destroyedTableIds: ['tbl7'],
};

/** Everything a payload may hold, each part there or not, with keys in a random order. */
const anyPayload = fc.jsonValue({ maxDepth: 6 }).chain((noise) => {
  const id = fc.constantFrom('recA', 'recB', 'recC', '1', 'constructor');
  const cells = fc.record({
    cellValuesByFieldId: fc.dictionary(fc.constantFrom('fldA', 'fldB'), fc.jsonValue()),
  });
  const table = fc.record(
    {
      createdRecordsById: fc.oneof(fc.dictionary(id, cells), fc.constant(noise)),
      changedRecordsById: fc.dictionary(
        id,
        fc.record({ current: cells, previous: cells }, { requiredKeys: [] }),
      ),
      destroyedRecordIds: fc.oneof(fc.array(id), fc.constant(noise)),
    },
    { requiredKeys: [] },
  );
  return fc.record(
    {
      timestamp: fc.oneof(fc.string(), fc.constant(noise)),
      actionMetadata: fc.constant(noise),
      changedTablesById: fc.dictionary(fc.constantFrom('tblA', 'tblB', 'tblC'), table),
      tomorrow: fc.constant(noise),
    },
    { requiredKeys: [] },
  );
});

/** The same JSON with the keys of every object the other way round. */
function reversed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reversed);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([key, inner]) => [key, reversed(inner)]),
  );
}

describe('decoding a payload', () => {
  test('the documented example yields every record change with cells in the format of records', () => {
    const decoded = decodePayload(documented);
    expect(decoded).toMatchObject({
      timestamp: '2026-01-02T03:04:05.000Z',
      transaction: 4,
      source: 'client',
      actor: { id: 'usr1', name: 'A', email: 'a@example.com' },
      error: null,
    });
    expect(decoded.changes).toEqual([
      {
        kind: 'created',
        tableId: 'tbl9',
        viewId: null,
        recordId: 'rec9',
        createdTime: '2026-01-02T03:04:05.000Z',
        current: {},
        previous: {},
        unchanged: {},
      },
      {
        kind: 'created',
        tableId: 'tbl1',
        viewId: null,
        recordId: 'rec1',
        createdTime: '2026-01-02T03:04:05.000Z',
        current: { fld1: 'x', fld2: 'Active' },
        previous: {},
        unchanged: {},
      },
      {
        kind: 'updated',
        tableId: 'tbl1',
        viewId: null,
        recordId: 'rec2',
        createdTime: null,
        current: { fld1: 'new' },
        previous: { fld1: 'old' },
        unchanged: { fld3: ['rec9'] },
      },
      {
        kind: 'deleted',
        tableId: 'tbl1',
        viewId: null,
        recordId: 'rec3',
        createdTime: null,
        current: {},
        previous: {},
        unchanged: {},
      },
      {
        kind: 'deleted',
        tableId: 'tbl1',
        viewId: 'viw1',
        recordId: 'rec4',
        createdTime: null,
        current: {},
        previous: {},
        unchanged: {},
      },
    ]);
  });

  test('the documented example yields every schema change', () => {
    expect(decodePayload(documented).schemaChanges).toEqual([
      {
        kind: 'tableCreated',
        tableId: 'tbl9',
        fieldId: null,
        current: { name: 'New', description: null },
        previous: null,
      },
      {
        kind: 'fieldCreated',
        tableId: 'tbl9',
        fieldId: 'fld9',
        current: { name: 'Name', type: 'singleLineText' },
        previous: null,
      },
      {
        kind: 'tableChanged',
        tableId: 'tbl1',
        fieldId: null,
        current: { name: 'T', description: 'd' },
        previous: { name: 't', description: null },
      },
      {
        kind: 'fieldCreated',
        tableId: 'tbl1',
        fieldId: 'fld3',
        current: { name: 'Qty', type: 'number' },
        previous: null,
      },
      {
        kind: 'fieldChanged',
        tableId: 'tbl1',
        fieldId: 'fld4',
        current: { name: 'New' },
        previous: { name: 'Old' },
      },
      { kind: 'fieldDeleted', tableId: 'tbl1', fieldId: 'fld5', current: null, previous: null },
      { kind: 'tableDeleted', tableId: 'tbl7', fieldId: null, current: null, previous: null },
    ]);
  });

  test('a payload that holds nothing we know, or of which much is wrong, is no error', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (payload) => {
        expect(decodePayload(payload).changes).toBeInstanceOf(Array);
      }),
    );
    expect(decodePayload({})).toEqual({
      timestamp: null,
      transaction: null,
      source: 'unknown',
      actor: null,
      changes: [],
      schemaChanges: [],
      error: null,
    });
  });

  test('the order of changes rests on their content, not on the order of keys', () => {
    fc.assert(
      fc.property(anyPayload, (payload) => {
        const turned = reversed(payload) as Record<string, unknown>;
        expect(decodePayload(turned)).toEqual(decodePayload(payload));
      }),
    );
  });

  test('every record of a well-formed payload comes out once', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.stringMatching(/^rec[0-9A-Za-z]{3}$/)), (ids) => {
        const createdRecordsById = Object.fromEntries(ids.map((id) => [id, { cellValuesByFieldId: {} }]));
        const changes = decodePayload({ changedTablesById: { tbl1: { createdRecordsById } } }).changes;
        expect(changes.map((change) => change.recordId)).toEqual([...ids].sort());
      }),
    );
  });

  test.each([
    [{ error: true, code: 'INVALID_FILTERS' }, 'INVALID_FILTERS'],
    [{ error: true, code: 'CODE_OF_TOMORROW' }, 'CODE_OF_TOMORROW'],
    [{ error: true }, 'UNKNOWN'],
    [{ error: false, code: 'INVALID_HOOK' }, null],
  ])('the error payload %j tells %j', (payload, code) => {
    expect(decodePayload(payload).error).toBe(code);
  });
});
