import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { decodePayload } from '../../src/calendly/payloads.ts';
import type { LogEntry } from '../../src/changes/log-entry.ts';
import { mayRepeat, withoutRepeats } from '../../src/webhooks/overlap.ts';
import { entriesOf } from '../../src/webhooks/payload-entries.ts';

/**
 * What a base records: each part of a transaction is a payload that creates a record, sets the same cell, or changes the
 * schema.
 */
interface Part {
  transaction: number;
  kind: 'record' | 'cell' | 'field';
}

const parts = fc
  .array(
    fc.record({
      step: fc.integer({ min: -1, max: 1 }),
      kind: fc.constantFrom('record' as const, 'cell' as const, 'field' as const),
    }),
    {
      minLength: 1,
      maxLength: 30,
    },
  )
  .map((steps) => {
    // Parts of a transaction may come after those of later ones.
    let transaction = 100;
    return steps.map(({ step, kind }): Part => ({ transaction: (transaction += step), kind }));
  });

function entries(
  all: Part[],
  from: number,
  generation: number,
  filter: (payload: Parameters<typeof mayRepeat>[0], all: LogEntry[]) => LogEntry[],
): LogEntry[] {
  return all.slice(from).flatMap(({ transaction, kind }, index) => {
    const id = from + index;
    const cells = { cellValuesByFieldId: { fld1: id } };
    const table = {
      record: { createdRecordsById: { [`rec${id}`]: cells } },
      cell: { changedRecordsById: { recSame: { current: cells } } },
      field: { createdFieldsById: { [`fld${id}`]: { name: 'News' } } },
    }[kind];
    const payload = {
      number: index + 1,
      decoded: decodePayload({ baseTransactionNumber: transaction, changedTablesById: { tbl1: table } }),
    };
    return filter(
      payload,
      entriesOf(payload, generation, () => null, new Date(0)),
    );
  });
}

const named = (all: LogEntry[]) =>
  all.map((entry) => {
    if (entry.kind === 'lost') return 'lost';
    if (entry.kind === 'schema') return entry.changes[0]?.fieldId;
    return entry.kind === 'updated' ? `cell${entry.fields[0]?.current as number}` : entry.recordId;
  });

test('whatever two webhooks record in turn is told once and in order, wherever the second begins and the first ends', () => {
  fc.assert(
    fc.property(parts, fc.nat(30), fc.nat(30), fc.nat(3), (all, a, b, late) => {
      const begin = Math.min(a, b, all.length);
      const end = Math.min(Math.max(a, b), all.length);
      const first = entries(all.slice(0, end), 0, 1, (_, entry) => entry);
      const overlap = {
        generation: 1,
        from: 1,
        until: Math.min(end + late, all.length) - begin + 1,
        transaction: end === 0 ? null : Math.max(...all.slice(0, end).map(({ transaction }) => transaction)),
      };
      const told = first.map((entry) => ({
        transaction: entry.transaction,
        kind: entry.kind,
        tableId: 'tableId' in entry ? entry.tableId : null,
        recordId: 'recordId' in entry ? entry.recordId : null,
        fields: 'fields' in entry ? entry.fields : [],
        detail: entry.kind === 'schema' ? { changes: entry.changes } : null,
      }));
      const second = entries(all, begin, 2, (payload, entry) =>
        mayRepeat(payload, overlap) ? withoutRepeats(entry, told) : entry,
      );
      expect([...named(first), ...named(second)]).toEqual(
        all.map(({ kind }, id) => `${{ record: 'rec', cell: 'cell', field: 'fld' }[kind]}${id}`),
      );
    }),
  );
});

test('knows an attachment again although its address is another at each reading', () => {
  const attachment = (url: string) => {
    const fields = [{ id: 'fld1', name: null, current: [{ id: 'att1', url, filename: 'a.png' }] }];
    return { kind: 'updated' as const, tableId: 'tbl1', recordId: 'rec1', transaction: 1, fields };
  };
  const common = {
    occurredAt: new Date(0),
    source: 'client',
    actor: null,
    recordCreatedAt: null,
    cells: null,
  };
  const entry = {
    ...attachment('https://a/2'),
    ...common,
    position: { generation: 2, payload: 1, ordinal: 0 },
  };
  expect(withoutRepeats([entry], [{ ...attachment('https://a/1'), detail: null }])).toEqual([]);
});
