import { expect, test } from '@jest/globals';
import { decodePayload } from '../../src/calendly/payloads.ts';
import type { LogEntry } from '../../src/changes/log-entry.ts';
import { entriesOf } from '../../src/webhooks/payload-entries.ts';

/** What the log gets of one changed record. */
function logged(change: object): LogEntry {
  const payload = { changedTablesById: { tbl1: { changedRecordsById: { rec1: change } } } };
  return entriesOf({ number: 1, decoded: decodePayload(payload) }, 1, () => null, new Date(0))[0]!;
}
const cells = (cellValuesByFieldId: object) => ({ cellValuesByFieldId });

test('a change that tells its other cells and those before has a whole record', () => {
  const entry = logged({
    current: cells({ fld1: 'new', fld2: null }),
    previous: cells({ fld1: 'old', fld2: 5 }),
    unchanged: cells({}),
  });
  expect(entry).toMatchObject({
    cells: { fld1: 'new' },
    fields: [
      { id: 'fld1', previous: 'old', current: 'new' },
      { id: 'fld2', previous: 5, current: null },
    ],
  });
});

test('a change that tells nothing but itself has neither a record nor values before, rather than empty ones', () => {
  expect(logged({ current: cells({ fld1: 'new' }) })).toMatchObject({
    kind: 'updated',
    cells: null,
    fields: [{ id: 'fld1', name: null, current: 'new' }],
  });
  expect(logged({ current: cells({ fld1: 'new' }) })).not.toHaveProperty('fields.0.previous');
});

test('a cell that was emptied is logged, also where only what it was before is told', () => {
  const entry = logged({
    current: cells({ fld1: 'new' }),
    previous: cells({ fld1: 'old', fld2: 5 }),
    unchanged: cells({ fld3: true }),
  });
  expect(entry).toMatchObject({
    cells: { fld1: 'new', fld3: true },
    fields: [
      { id: 'fld1', previous: 'old', current: 'new' },
      { id: 'fld2', previous: 5, current: null },
    ],
  });
});
