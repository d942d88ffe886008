import { expect, it } from '@jest/globals';
import { differences, type LedgerChange, type ToldChange } from './ledger-comparison.ts';

const happened = (
  sequence: number,
  transaction: number,
  kind: LedgerChange['kind'],
  recordId: string,
  mark: string,
): LedgerChange => ({
  sequence,
  baseId: 'app1',
  tableId: 'tbl1',
  recordId,
  kind,
  transaction,
  fields: kind === 'destroyed' ? {} : { fldName: mark, fldScore: 7 },
});

const ledger = [
  happened(1, 1, 'created', 'rec1', 'Change 1'),
  happened(2, 2, 'created', 'rec2', 'Change 2'),
  happened(3, 2, 'updated', 'rec1', 'Change 3'),
  // A cell that follows others: what the writer had put in is still there, and was not changed.
  happened(4, 3, 'updated', 'rec1', 'Change 3'),
  happened(5, 4, 'destroyed', 'rec2', ''),
  happened(6, 5, 'updated', 'rec1', 'Change 4'),
];

const told = (cursor: string, kind: ToldChange['kind'], recordId: string, mark?: string): ToldChange => ({
  cursor,
  kind,
  tableId: 'tbl1',
  recordId,
  fields: mark === undefined ? [{ id: 'fldScore', current: 7 }] : [{ id: 'fldName', current: mark }],
});

const heard = [
  told('a', 'CREATED', 'rec1', 'Change 1'),
  told('b', 'UPDATED', 'rec1', 'Change 3'),
  told('c', 'CREATED', 'rec2', 'Change 2'),
  told('d', 'UPDATED', 'rec1'),
  told('e', 'DELETED', 'rec2'),
  told('f', 'UPDATED', 'rec1', 'Change 4'),
];

const without = <T>(list: readonly T[], index: number): T[] => list.filter((_, at) => at !== index);
const swapped = <T>(list: readonly T[], index: number): T[] => [
  ...list.slice(0, index),
  ...list.slice(index, index + 2).reverse(),
  ...list.slice(index + 2),
];

it('finds nothing when everything was told once and in order, however a transaction is ordered within', () => {
  expect(differences(ledger, heard)).toEqual([]);
});

it.each(ledger.map((_, index) => index))('notices that entry %i of the ledger was taken out', (index) => {
  expect(differences(without(ledger, index), heard)).toEqual([expect.stringMatching(/^too many: /)]);
});

it.each(heard.map((_, index) => index))('notices that change %i was not told', (index) => {
  expect(differences(ledger, without(heard, index))).toEqual([expect.stringMatching(/^missing: /)]);
});

it.each(heard.map((change, index) => [index, change] as const))(
  'notices that change %i was told twice',
  (_, change) => {
    expect(differences(ledger, [...heard, change])).toEqual([
      expect.stringMatching(/^too many: /),
      expect.stringMatching(/^told twice: /),
    ]);
  },
);

it.each([0, 2, 3, 4])('notices that changes %i and the next were told in the wrong order', (index) => {
  expect(differences(ledger, swapped(heard, index))).toEqual([expect.stringMatching(/^out of order/)]);
});

it('notices that a change was told with what another had left', () => {
  const wrong = heard.map((change) =>
    change.cursor === 'f' ? told('f', 'UPDATED', 'rec1', 'Change 3') : change,
  );
  expect(differences(ledger, wrong)).toHaveLength(2);
});
