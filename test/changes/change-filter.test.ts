import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { TableSchema } from '../../src/bases/table-schema.ts';
import { outdatedBy, toldAs, type ChangeFilter } from '../../src/changes/change-filter.ts';
import type { ChangeEntry, LoggedSchemaChange, LogEntry } from '../../src/changes/log-entry.ts';
import { AppError } from '../../src/errors.ts';
import { passesTest } from '../../src/records/filters/cell-match.ts';
import type { RecordFilter } from '../../src/records/filters/filter.ts';
import { readConditions, testsFor } from '../../src/records/filters/record-conditions.ts';
import { fieldsOf, requireRecordedFields } from '../../src/records/filters/recorded-fields.ts';
import { testKey, type RecordTest } from '../../src/records/filters/record-test.ts';
import { repeats } from '../support/repeats.ts';
import { filterCase, type CaseField, type Cells } from '../records/filter-cases.ts';
import { passes } from '../records/plain-filter.ts';

const origin = { generation: 1, payload: 1, ordinal: 0 };
const common = { position: origin, occurredAt: new Date(0), source: 'client', actor: null, transaction: 1 };

function tableOf(fields: readonly CaseField[]): TableSchema {
  return new TableSchema({
    id: 'tbl1',
    name: 'Table',
    primaryFieldId: 'fld0',
    fields: [...fields],
    views: [],
  });
}

/** The test of a filter that changes can be filtered by; null for others. */
function testOf(filter: RecordFilter, fields: readonly CaseField[]): RecordTest | null {
  try {
    const all: RecordTest = { kind: 'all', parts: testsFor(readConditions({ filter }), tableOf(fields)) };
    requireRecordedFields(all);
    return all;
  } catch (error) {
    if (error instanceof AppError && error.code === 'FILTER_NOT_EXACT') return null;
    throw error;
  }
}

function filterOf(all: RecordTest, more: Partial<ChangeFilter> = {}): ChangeFilter {
  return {
    tableId: 'tbl1',
    cells: {
      fields: new Map(fieldsOf(all).map(({ id, name, type }) => [id, { name, type }])),
      checkedAt: origin,
      passes: (cells, isComplete) => passesTest(all, cells, isComplete),
      toJSON: () => testKey(all),
    },
    ...more,
  };
}

/** The entry that the log has of an edit, as the webhook's payload tells it. */
function entryOf(recordId: string, before: Cells | null, after: Cells | null): ChangeEntry {
  const same = (id: string) => JSON.stringify(before?.[id]) === JSON.stringify(after?.[id]);
  const ids = [...new Set([...Object.keys(before ?? {}), ...Object.keys(after ?? {})])];
  return {
    ...common,
    kind: after === null ? 'deleted' : before === null ? 'created' : 'updated',
    tableId: 'tbl1',
    recordId,
    recordCreatedAt: null,
    fields:
      after === null
        ? []
        : ids
            .filter((id) => !same(id))
            .map((id) => ({
              id,
              name: null,
              previous: before?.[id] ?? null,
              current: after[id] ?? null,
            })),
    cells: after,
  };
}

/** A base that is edited: each step gives a record the cells of a row, parts of them, or takes it away. */
const history = filterCase.chain((one) =>
  fc.record({
    fields: fc.constant(one.fields),
    filter: fc.constant(one.filter),
    steps: fc.array(
      fc.record({
        record: fc.integer({ min: 0, max: 2 }).map((number) => `recE${number}`),
        row: fc.integer({ min: 0, max: one.records.length - 1 }).map((index) => one.records[index]!.cells),
        only: fc.option(fc.subarray(one.fields.map(({ id }) => id)), { nil: undefined }),
        isGone: fc.integer({ min: 0, max: 9 }).map((number) => number === 0),
      }),
      { minLength: 10, maxLength: 25 },
    ),
    knownBefore: fc.integer({ min: 0, max: 4 }),
  }),
);

describe('a filtered subscriber', () => {
  test('who applies what is told has in the end what a listing with the filter gives', () => {
    let [some, left] = [0, 0];
    fc.assert(
      fc.property(history, ({ fields, filter, steps, knownBefore }) => {
        const all = testOf(filter, fields);
        fc.pre(all !== null);
        const listing = (rows: Map<string, Cells>) =>
          [...rows].filter(([, cells]) => passes(filter, fields, cells)).map(([id]) => id);
        const rows = new Map<string, Cells>();
        let kept: Set<string> | undefined;
        steps.forEach(({ record, row, only, isGone }, index) => {
          // Whoever begins to listen in the middle lists first.
          if (index >= knownBefore) kept ??= new Set(listing(rows));
          const before = rows.get(record) ?? null;
          const after: Cells | null = isGone
            ? null
            : only && before
              ? Object.fromEntries(
                  fields.flatMap(({ id }) => {
                    const cell = only.includes(id) ? row[id] : before[id];
                    return cell === undefined ? [] : [[id, cell]];
                  }),
                )
              : row;
          if (after === null) rows.delete(record);
          else rows.set(record, after);
          const entry = entryOf(record, before, after);
          if (!kept || (before === null && after === null) || (after && entry.fields.length === 0 && before))
            return;
          const told = toldAs(entry, filterOf(all));
          if (after === null) expect(told).toBe('told');
          if (told === 'left') {
            left += 1;
            // It is told once: nothing leaves that had not been in.
            expect(kept.delete(record)).toBe(true);
          } else if (told === 'told') {
            if (after === null) kept.delete(record);
            else kept.add(record);
          }
        });
        const wanted = listing(rows);
        if (wanted.length > 0 && wanted.length < rows.size) some += 1;
        expect([...(kept ?? wanted)].sort()).toEqual(wanted.sort());
      }),
      { numRuns: repeats({ suite: 500, long: 20_000 }) },
    );
    // Histories in which nothing came or went would prove little.
    expect(some).toBeGreaterThan(10);
    expect(left).toBeGreaterThan(30);
  });

  test('is told of what can not be decided, and of nothing that the known cells decide otherwise', () => {
    let undecided = 0;
    fc.assert(
      fc.property(filterCase, fc.func(fc.boolean()), ({ fields, records, filter }, isKnown) => {
        const all = testOf(filter, fields);
        fc.pre(all !== null);
        for (const { cells } of records) {
          const known = Object.fromEntries(Object.entries(cells).filter(([id]) => isKnown(id)));
          const passed = passesTest(all, known, false);
          if (passed === null) undecided += 1;
          else expect(passed).toBe(passes(filter, fields, cells));
        }
      }),
      { numRuns: repeats({ suite: 200, long: 10_000 }) },
    );
    expect(undecided).toBeGreaterThan(50);
  });
});

const status: CaseField = { id: 'fldS', name: 'Status', type: 'singleLineText' };
const owner: CaseField = { id: 'fldO', name: 'Owner', type: 'singleCollaborator' };
const active = testOf({ field: 'Status', eq: 'Active' }, [status, owner])!;

describe('a change', () => {
  const leaving = entryOf('rec1', { fldS: 'Active', fldE: 'a' }, { fldS: 'Lead', fldE: 'b' });
  const staying = entryOf('rec1', { fldS: 'Active', fldE: 'a' }, { fldS: 'Active', fldE: 'b' });

  test('has to be of the kinds, records and table that are listened to as well', () => {
    expect(toldAs(leaving, filterOf(active))).toBe('left');
    expect(toldAs(leaving, filterOf(active, { kinds: new Set(['created']) }))).toBeNull();
    expect(toldAs(leaving, filterOf(active, { recordIds: new Set(['rec2']) }))).toBeNull();
    expect(toldAs(leaving, filterOf(active, { tableId: 'tbl2' }))).toBeNull();
  });

  test('has to change one of the fields that are listened to, unless the record leaves with it', () => {
    expect(toldAs(staying, filterOf(active, { fieldIds: new Set(['fldE']) }))).toBe('told');
    expect(toldAs(staying, filterOf(active, { fieldIds: new Set(['fldX']) }))).toBeNull();
    expect(toldAs(leaving, filterOf(active, { fieldIds: new Set(['fldX']) }))).toBe('left');
  });

  test('without all cells is told, unless the changed ones decide', () => {
    const partly = (entry: ChangeEntry): ChangeEntry => ({ ...entry, cells: null });
    expect(toldAs(partly(staying), filterOf(active))).toBe('told');
    expect(toldAs(partly(leaving), filterOf(active))).toBe('left');
    const elsewhere = entryOf('rec1', { fldE: 'a' }, { fldE: 'b' });
    expect(toldAs(partly(elsewhere), filterOf(active))).toBe('told');
    expect(toldAs(elsewhere, filterOf(active))).toBeNull();
  });

  test('that does not say what was before may have been the one with which the record left', () => {
    const untold = (entry: ChangeEntry): ChangeEntry => ({
      ...entry,
      fields: entry.fields.map(({ previous: _previous, ...field }) => field),
    });
    expect(toldAs(untold(leaving), filterOf(active))).toBe('left');
    expect(toldAs(untold(staying), filterOf(active))).toBe('told');
    const elsewhere = entryOf('rec1', { fldE: 'a', fldS: 'Lead' }, { fldE: 'b', fldS: 'Lead' });
    expect(toldAs(untold(elsewhere), filterOf(active))).toBeNull();
  });

  test('of a person without a name is told', () => {
    const mine = testOf({ field: 'Owner', eq: 'Ada' }, [status, owner])!;
    const given = (cell: unknown) => toldAs(entryOf('rec1', {}, { fldO: cell }), filterOf(mine));
    expect(given({ id: 'usr1' })).toBe('told');
    expect(given({ id: 'usr1', name: 'Ada' })).toBe('told');
    expect(given({ id: 'usr1', name: 'Grace' })).toBeNull();
  });

  test('of cells that have another type than their field passes nothing, and breaks nothing', () => {
    for (const cell of [5, true, ['Active'], { name: 5 }, { odd: {} }]) {
      expect(toldAs(entryOf('rec1', {}, { fldS: cell }), filterOf(active))).not.toBe('left');
      for (const kind of ['number', 'within', 'choice', 'linked', 'checked'] as const) {
        const field = tableOf([status]).getField('Status');
        const odd = { kind, field, operator: '=', number: 1, from: 0, to: 1, name: 'x', recordIds: [] };
        expect(passesTest(odd as never, { fldS: cell }, true)).toBe(kind === 'checked' && cell === true);
      }
    }
  });
});

describe('a filter', () => {
  const edited = (change: Partial<LoggedSchemaChange>, payload = 2): LogEntry => ({
    ...common,
    kind: 'schema',
    position: { ...origin, payload },
    changes: [
      {
        kind: 'fieldChanged',
        tableId: 'tbl1',
        fieldId: 'fldS',
        current: null,
        previous: null,
        ...change,
      },
    ],
  });
  const ends = (entry: LogEntry) => outdatedBy(entry, filterOf(active))?.code ?? null;

  test.each<[string, Partial<LoggedSchemaChange>]>([
    ['its field is deleted', { kind: 'fieldDeleted' }],
    ['its field gets another type', { current: { type: 'number' } }],
    ['its field is renamed and gets another type', { current: { name: 'Points', type: 'number' } }],
    ['its field changes in a way that is not told', { current: {} }],
    ['the choices of its field change', { current: { options: {} } }],
    ['its table is deleted', { kind: 'tableDeleted', fieldId: null }],
  ])('has an end when %s', (_how, change) => {
    expect(ends(edited(change))).toBe('FILTER_OUTDATED');
  });

  test.each<[string, Partial<LoggedSchemaChange>]>([
    ['its field is renamed', { current: { name: 'State' } }],
    ['its field is renamed and told with its type', { current: { name: 'State', type: 'singleLineText' } }],
    ['its field is described', { current: { description: 'How it goes' } }],
    ['another field is deleted', { kind: 'fieldDeleted', fieldId: 'fldO' }],
    ['another table is deleted', { kind: 'tableDeleted', tableId: 'tbl2', fieldId: null }],
    ['its table is renamed', { kind: 'tableChanged', fieldId: null, current: { name: 'People' } }],
  ])('goes on when %s', (_how, change) => {
    expect(ends(edited(change))).toBeNull();
  });

  test('is not ended by what had happened before it was checked', () => {
    expect(ends(edited({ kind: 'fieldDeleted' }, 1))).toBeNull();
  });
});
