import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { decodePayload } from '../../src/calendly/payloads.ts';
import type { LogEntry } from '../../src/changes/log-entry.ts';
import { mayRepeat, withoutRepeats } from '../../src/webhooks/overlap.ts';
import { entriesOf } from '../../src/webhooks/payload-entries.ts';

/** What a base records: each part of a transaction is a payload that creates a record or changes the schema. */
interface Part {
  transaction: number;
  kind: 'record' | 'field';
}

const parts = fc
  .array(
    fc.record({
      step: fc.integer({ min: -2, max: 2 }),
      kind: fc.constantFrom('record' as const, 'field' as const),
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
    const table =
      kind === 'record'
        ? { createdRecordsById: { [`rec${id}`]: { cellValuesByFieldId: { fld1: id } } } }
        : { createdFieldsById: { [`fld${id}`]: { name: 'News' } } };
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
  all.map((entry) =>
    entry.kind === 'schema' ? entry.changes[0]?.fieldId : entry.kind === 'lost' ? 'lost' : entry.recordId,
  );

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
        all.map(({ kind }, id) => (kind === 'record' ? `rec${id}` : `fld${id}`)),
      );
    }),
  );
});
