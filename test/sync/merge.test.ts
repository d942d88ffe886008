import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { InFlight } from '../../src/sync/merge/awaited-writes.ts';
import { merge, type CellConflict } from '../../src/sync/merge/merge.ts';
import { mergeRecord, type MergeState } from '../../src/sync/merge/record-merge.ts';
import { conflictPolicies, type MappedColumn } from '../../src/sync/sync.ts';

const column = (fieldId: string, fieldType = 'singleLineText', computed = false): MappedColumn => ({
  fieldId,
  fieldName: fieldId,
  fieldType,
  valueType: fieldType,
  computed,
  column: fieldId,
  columnType: 'text',
  goneAt: null,
});
const columns = [
  column('a'),
  column('b', 'number'),
  column('c', 'multipleSelects'),
  column('d', 'formula', true),
];
const written = columns.slice(0, 3);
const blank = { a: null, b: null, c: null, d: null };

const cells = fc.record(
  {
    a: fc.constantFrom('', 'x', 'y', 'z'),
    b: fc.constantFrom(0, 1, 2.5),
    c: fc.constantFrom([], ['p'], ['p', 'q'], ['q', 'p']),
    d: fc.constantFrom(1, 2),
  },
  { requiredKeys: [] },
);
const policy = fc.constantFrom(...conflictPolicies);
const names = (list: readonly MappedColumn[]): string[] => list.map(({ fieldId }) => fieldId);
const isBlank = (cell: unknown): boolean =>
  cell == null || cell === '' || (Array.isArray(cell) && cell.length === 0);
const same = (a: unknown, b: unknown): boolean =>
  (isBlank(a) && isBlank(b)) || JSON.stringify(a) === JSON.stringify(b);

describe('three versions of a row', () => {
  test('with nothing changed here, the row becomes the record; with nothing changed there, all that differs is kept', () => {
    fc.assert(
      fc.property(cells, cells, policy, (base, other, wins) => {
        const there = merge({ columns, base, local: base, remote: other, policy: wins });
        expect(there).toMatchObject({ keep: [], conflicts: [] });
        expect(names(there.take)).toEqual(
          names(columns).filter(
            (id) => !same({ ...blank, ...base }[id as 'a'], { ...blank, ...other }[id as 'a']),
          ),
        );
        const here = merge({ columns, base, local: other, remote: base, policy: wins });
        expect(here.conflicts).toEqual([]);
        expect(names(here.take).filter((id) => id !== 'd')).toEqual([]);
      }),
    );
  });

  test('equal on both sides is never a conflict, whatever it was before', () => {
    fc.assert(
      fc.property(cells, cells, policy, (base, both, wins) => {
        expect(merge({ columns, base, local: both, remote: both, policy: wins })).toEqual({
          take: [],
          keep: [],
          conflicts: [],
        });
      }),
    );
  });

  test('each cell is decided by itself: changed on one side it is taken or kept, on both it is a conflict with both values', () => {
    fc.assert(
      fc.property(cells, cells, cells, policy, (base, local, remote, wins) => {
        const { take, keep, conflicts } = merge({ columns, base, local, remote, policy: wins });
        for (const { fieldId } of written) {
          const [b, l, r] = [base, local, remote].map((all) => (all as Record<string, unknown>)[fieldId]);
          const isConflict = !same(l, r) && !same(b, l) && !same(b, r);
          const found = conflicts.find((one: CellConflict) => one.column.fieldId === fieldId);
          expect(found !== undefined).toBe(isConflict);
          if (found) expect([found.calendly, found.omnera]).toEqual([r ?? null, l ?? null]);
          const isTaken = !same(l, r) && (same(b, l) || (isConflict && wins === 'calendly_wins'));
          const isKept = !same(l, r) && (same(b, r) || (isConflict && wins === 'omnera_wins'));
          expect([names(take).includes(fieldId), names(keep).includes(fieldId)]).toEqual([isTaken, isKept]);
        }
      }),
    );
  });
});

const state = (given: Partial<MergeState>): MergeState => ({
  columns,
  policy: 'calendly_wins',
  base: {},
  local: {},
  inFlight: [],
  ...given,
});
const sent = (given: Partial<InFlight>): InFlight => ({
  id: '1',
  kind: 'update',
  state: 'written',
  cells: {},
  believed: {},
  answered: null,
  ...given,
});
const changed = (now: Record<string, unknown>, ids: string[], previous: Record<string, unknown> = {}) =>
  ({ kind: 'changed', cells: now, changed: ids, previous }) as const;

describe('news of one record', () => {
  test('what was sent from here is no news, also when the row has been changed once more since', () => {
    const result = mergeRecord(
      state({
        base: { a: 'x' },
        local: { a: 'z' },
        inFlight: [sent({ cells: { a: 'y' }, believed: { a: 'x' } })],
      }),
      [changed({ a: 'y' }, ['a'], { a: 'x' })],
    );
    expect(result).toMatchObject({ row: 'leave', conflicts: [], seen: ['1'], touch: 'record' });
  });

  test.each(conflictPolicies)('a change that ours has overwritten is met as a conflict (%s)', (wins) => {
    const overwritten = [
      changed({ a: 'their' }, ['a'], { a: 'x' }),
      changed({ a: 'our' }, ['a'], { a: 'their' }),
    ];
    const result = mergeRecord(
      state({
        policy: wins,
        base: { a: 'x' },
        local: { a: 'our' },
        inFlight: [sent({ cells: { a: 'our' }, believed: { a: 'x' } })],
      }),
      overwritten,
    );
    expect(result.conflicts).toMatchObject([{ calendly: 'their', omnera: 'our' }]);
    expect(result.seen).toEqual(['1']);
    expect(result).toMatchObject({ touch: 'record', row: wins === 'calendly_wins' ? 'put' : 'leave' });
    expect(result.cells).toEqual({ a: wins === 'calendly_wins' ? 'their' : 'our' });
  });

  test('a change that the log does not tell of shows in what ours has replaced', () => {
    const result = mergeRecord(
      state({
        policy: 'omnera_wins',
        base: { a: 'x' },
        local: { a: 'our' },
        inFlight: [sent({ cells: { a: 'our' }, believed: { a: 'x' } })],
      }),
      [changed({ a: 'our' }, ['a'], { a: 'their' })],
    );
    expect(result.conflicts).toMatchObject([{ calendly: 'their', omnera: 'our' }]);
  });

  test('a row takes what the upstream has made of its value', () => {
    const result = mergeRecord(
      state({ base: {}, local: { a: 'y ' }, inFlight: [sent({ cells: { a: 'y ' }, answered: { a: 'y' } })] }),
      [changed({ a: 'y' }, ['a'])],
    );
    expect(result).toMatchObject({ row: 'put', conflicts: [], seen: ['1'] });
    expect([...(result.take ?? [])]).toEqual(['a']);
  });

  test.each(conflictPolicies)('deleted there and changed here (%s)', (wins) => {
    const result = mergeRecord(state({ policy: wins, base: { a: 'x' }, local: { a: 'y' } }), [
      { kind: 'deleted' },
    ]);
    expect(result.deletions).toMatchObject([{ kind: 'deleted_by_calendly', cells: [{ omnera: 'y' }] }]);
    expect(result).toMatchObject(
      wins === 'calendly_wins' ? { row: 'delete', touch: null } : { row: 'leave', touch: 'row' },
    );
  });

  test.each(conflictPolicies)('changed there and deleted here (%s)', (wins) => {
    const result = mergeRecord(state({ policy: wins, base: { a: 'x' }, local: 'deleted' }), [
      changed({ a: 'y' }, ['a']),
    ]);
    expect(result.deletions).toMatchObject([{ kind: 'deleted_by_omnera', cells: [{ calendly: 'y' }] }]);
    expect(result.row).toBe(wins === 'calendly_wins' ? 'put' : 'leave');
  });

  test('a record that is brought back here after it was deleted from here becomes a new one there', () => {
    const result = mergeRecord(
      state({ base: { a: 'x' }, local: { a: 'x' }, inFlight: [sent({ kind: 'delete' })] }),
      [{ kind: 'deleted' }],
    );
    expect(result).toMatchObject({ row: 'leave', touch: 'row', deletions: [], seen: ['1'] });
  });

  test('a change that was deleted from here before it was known brings the row back, to be sent as a new record', () => {
    const result = mergeRecord(
      state({ base: { a: 'x' }, local: 'deleted', inFlight: [sent({ kind: 'delete' })] }),
      [changed({ a: 'y' }, ['a']), { kind: 'deleted' }],
    );
    expect(result).toMatchObject({ row: 'put', take: null, touch: 'row', cells: { a: 'y' } });
    expect(result.deletions).toHaveLength(1);
  });

  test('deleted on both sides, or by computed cells alone, is no conflict', () => {
    expect(mergeRecord(state({ local: 'deleted' }), [{ kind: 'deleted' }])).toMatchObject({
      row: 'leave',
      deletions: [],
    });
    expect(mergeRecord(state({ local: 'deleted' }), [changed({ d: 3 }, ['d'])]).deletions).toEqual([]);
  });

  test('a record that was read while something was on its way says nothing', () => {
    const inFlight = [sent({ state: 'sending', cells: { a: 'y' } })];
    const reading = [{ kind: 'read', cells: { a: 'x', b: 1 } }] as const;
    expect(mergeRecord(state({ local: { a: 'y' }, inFlight }), reading)).toMatchObject({
      isHeld: true,
      row: 'leave',
    });
  });
});
