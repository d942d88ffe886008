import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { decodePayload } from '../../src/calendly/payloads.ts';
import { entriesOf } from '../../src/webhooks/payload-entries.ts';

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

const id = fc.constantFrom('recA', 'recB', 'recC', '1', 'constructor', '__proto__');
const json = fc.jsonValue({ maxDepth: 1 });
const cellValues = fc.dictionary(fc.constantFrom('fldA', 'fldB'), json, { maxKeys: 2 });
const cells = fc.record({ cellValuesByFieldId: cellValues });
const anyRecord = <T>(model: Record<string, fc.Arbitrary<T>>) => fc.record(model, { requiredKeys: [] });
const ids = fc.uniqueArray(id, { maxLength: 3 });
const created = fc.record({
  createdTime: fc.constant('2026-01-02T03:04:05.000Z'),
  cellValuesByFieldId: cellValues,
});
const definition = fc.dictionary(fc.constantFrom('name', 'type', 'tomorrow'), json, { maxKeys: 2 });
const beforeAndAfter = anyRecord({ current: definition, previous: definition });
const records = {
  createdRecordsById: fc.dictionary(id, created, { maxKeys: 2 }),
  changedRecordsById: fc.dictionary(id, anyRecord({ current: cells, previous: cells, unchanged: cells }), {
    maxKeys: 2,
  }),
  destroyedRecordIds: ids,
};
const dictionary = <T>(keys: string[], value: fc.Arbitrary<T>) =>
  fc.dictionary(fc.constantFrom(...keys), value, { maxKeys: keys.length });
const table = anyRecord<unknown>({
  ...records,
  createdFieldsById: dictionary(['fldA', 'fldB'], definition),
  changedFieldsById: dictionary(['fldA', 'fldB'], beforeAndAfter),
  destroyedFieldIds: ids,
  changedMetadata: beforeAndAfter,
  changedViewsById: dictionary(['viwA', 'viwB'], anyRecord<unknown>(records)),
});

/** Every shape that is documented, each part there or not. */
const goodPayload = anyRecord<unknown>({
  timestamp: fc.constant('2026-01-02T03:04:05.000Z'),
  baseTransactionNumber: fc.nat(),
  payloadFormat: fc.constant('v0'),
  actionMetadata: anyRecord<unknown>({
    source: fc.string(),
    sourceMetadata: fc.constantFrom(
      { user: documented.actionMetadata.sourceMetadata.user },
      { viewId: 'viwA' },
    ),
  }),
  changedTablesById: dictionary(['tblA', 'tblB'], table),
  createdTablesById: dictionary(
    ['tblC', 'tblD'],
    anyRecord<unknown>({
      metadata: definition,
      fieldsById: dictionary(['fldA'], definition),
      recordsById: fc.dictionary(id, created, { maxKeys: 2 }),
    }),
  ),
  destroyedTableIds: ids,
  error: fc.boolean(),
  code: fc.string(),
}) as fc.Arbitrary<Record<string, unknown>>;

/** The same with some part replaced by anything at all. */
const spoiltPayload = fc.tuple(goodPayload, json, fc.nat()).map(([payload, noise, at]) => {
  const spoilt = structuredClone(payload);
  const places = objectsIn(spoilt).flatMap((object) =>
    Object.keys(object).map((key) => [object, key] as const),
  );
  const [object, key] = places[at % Math.max(places.length, 1)] ?? [spoilt, 'tomorrow'];
  object[key] = noise;
  return spoilt;
});

const anyPayload = fc.oneof(goodPayload, spoiltPayload);

/** All objects in a value that a payload reads keys of. */
function objectsIn(value: unknown): Record<string, unknown>[] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return [];
  const object = value as Record<string, unknown>;
  return [object, ...Object.values(object).flatMap(objectsIn)];
}

/** How many things of each kind a payload tells, counted without the decoder. */
function countIn(payload: Record<string, unknown>): Record<string, number> {
  const counts: Record<string, number> = {};
  const add = (kind: string, value: unknown) => {
    const length = Array.isArray(value)
      ? new Set(value).size
      : Object.keys((value as object | undefined) ?? {}).length;
    if (length > 0) counts[kind] = (counts[kind] ?? 0) + length;
  };
  const tables = Object.values((payload.changedTablesById ?? {}) as Record<string, Record<string, unknown>>);
  const views = tables.flatMap(({ changedViewsById = {} }) =>
    Object.values(changedViewsById as typeof tables),
  );
  for (const part of [...tables, ...views]) {
    add('created', part.createdRecordsById);
    add('updated', part.changedRecordsById);
    add('deleted', part.destroyedRecordIds);
  }
  for (const part of tables) {
    add('fieldCreated', part.createdFieldsById);
    add('fieldChanged', part.changedFieldsById);
    add('fieldDeleted', part.destroyedFieldIds);
    add('tableChanged', part.changedMetadata === undefined ? [] : ['once']);
  }
  const newTables = (payload.createdTablesById ?? {}) as Record<string, Record<string, unknown>>;
  add('tableCreated', newTables);
  for (const part of Object.values(newTables)) {
    add('created', part.recordsById);
    add('fieldCreated', part.fieldsById);
  }
  add('tableDeleted', payload.destroyedTableIds);
  return counts;
}

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
      unread: null,
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

  test('everything that a payload tells comes out once, and nothing is left unread', () => {
    fc.assert(
      fc.property(goodPayload, (payload) => {
        const { changes, schemaChanges, unread } = decodePayload(payload);
        const counts: Record<string, number> = {};
        for (const { kind } of [...changes, ...schemaChanges]) counts[kind] = (counts[kind] ?? 0) + 1;
        expect(counts).toEqual(countIn(payload));
        const places = changes.map(({ kind, tableId, viewId, recordId }) =>
          [kind, tableId, viewId, recordId].join(),
        );
        expect(new Set(places).size).toBe(changes.length);
        expect(unread).toBeNull();
      }),
    );
    expect(decodePayload(documented).unread).toBeNull();
  });

  test('a key of tomorrow changes nothing of what is read, and is kept where it stood', () => {
    fc.assert(
      fc.property(goodPayload, fc.nat(), fc.oneof(fc.string(), fc.object()), (payload, at, news) => {
        const before = decodePayload(payload);
        const told = structuredClone(payload);
        const places = [
          told,
          ...['actionMetadata', 'changedTablesById', 'createdTablesById'].flatMap((key) => {
            const part = told[key] as Record<string, unknown> | undefined;
            return key === 'actionMetadata' ? (part ?? []) : Object.values(part ?? {});
          }),
        ] as Record<string, unknown>[];
        const place = places[at % places.length];
        if (place) place['tomorrow'] = news;
        const { unread, ...read } = decodePayload(told);
        expect({ ...read, unread: null }).toEqual(before);
        expect(objectsIn(unread).filter((object) => 'tomorrow' in object)[0]).toMatchObject({
          tomorrow: news,
        });
      }),
    );
  });

  test('the places in the log of what a payload tells are counted from 0 without a hole', () => {
    fc.assert(
      fc.property(anyPayload, fc.integer({ min: 1, max: 1_000_000 }), (payload, number) => {
        const now = new Date();
        const entries = entriesOf({ number, decoded: decodePayload(payload) }, 7, () => null, now);
        expect(entries.map(({ position }) => position)).toEqual(
          entries.map((_, ordinal) => ({ generation: 7, payload: number, ordinal })),
        );
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
