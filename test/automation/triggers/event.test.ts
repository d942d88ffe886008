import { describe, expect, test } from '@jest/globals';
import { changeEvent } from '../../../src/automation/triggers/event.ts';
import type { ChangeEntry } from '../../../src/changes/log-entry.ts';

const entry: ChangeEntry = {
  kind: 'updated',
  position: { generation: 1, payload: 1, ordinal: 0 },
  occurredAt: new Date(0),
  source: 'client',
  actor: null,
  transaction: null,
  tableId: 'tblDEF456',
  recordId: 'recSAMPLE00000000',
  recordCreatedAt: new Date(0),
  fields: [{ id: 'fldPhone', name: 'Phone', current: '1' }],
  cells: { fldPhone: '1' },
};
const origin = {
  trigger: { id: 'a', connectionId: 1, baseId: 'appABC123', tableId: 'tblDEF456' },
  feedKey: 'key',
};
const dataOf = (told: Partial<ChangeEntry>): Record<string, unknown> =>
  JSON.parse(changeEvent({ ...entry, ...told }, false, origin).body).data;

describe('an event says whether its cells are all that there are', () => {
  test('they are when the upstream told them', () => {
    expect(dataOf({})).toMatchObject({ isComplete: true, record: { cells: { fldPhone: '1' } } });
  });

  test('they are not when it did not; what changed is told still', () => {
    const changes = [{ id: 'fldPhone', name: 'Phone', current: '1' }];
    expect(dataOf({ cells: null })).toMatchObject({ isComplete: false, record: null, changes });
  });

  test('a deleted record has none', () => {
    expect(dataOf({ kind: 'deleted', fields: [], cells: null })).toMatchObject({
      isComplete: true,
      record: null,
    });
  });

  test('they are left out when they are too large', () => {
    const cells = { fldPhone: 'x'.repeat(300_000) };
    expect(dataOf({ cells })).toMatchObject({ isComplete: false, record: null, changes: [] });
  });
});
