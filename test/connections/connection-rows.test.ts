import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, test } from '@jest/globals';
import type { DataSource } from 'typeorm';
import { ConnectionRows } from '../../src/connections/connection-rows.ts';

/** A database that answers when it is told to, and which statements have reached it, by their ids. */
function slowDatabase() {
  const statements: { ids: number[]; answer: (rows: { id: number; name: string }[]) => void }[] = [];
  const database = {
    getMetadata: () => ({ columns: [{ databaseName: 'id', propertyName: 'id' }] }),
    query: (_text: string, [ids]: [number[]]) =>
      new Promise((resolve) => statements.push({ ids, answer: resolve })),
  };
  return { rows: new ConnectionRows(database as unknown as DataSource), statements };
}

test('those who ask at once share a statement, and nobody joins one that has left', async () => {
  const { rows, statements } = slowDatabase();
  const early = [rows.find(1), rows.find(2), rows.find(1)];
  await nextTurn();
  expect(statements.map(({ ids }) => ids)).toEqual([[1, 2]]);

  // While the first is under way the row changes; who asks now must not be told what it was.
  const late = rows.find(1);
  await nextTurn();
  expect(statements.map(({ ids }) => ids)).toEqual([[1, 2], [1]]);
  statements[1]!.answer([{ id: 1, name: 'new' }]);
  expect(await late).toMatchObject({ name: 'new' });
  statements[0]!.answer([{ id: 1, name: 'old' }]);
  expect(await Promise.all(early)).toMatchObject([{ name: 'old' }, null, { name: 'old' }]);
});

test('what can be no number of a connection is not found, and spoils nothing for others', async () => {
  const { rows, statements } = slowDatabase();
  const found = [rows.find(1.5), rows.find(Number.NaN), rows.find(1e300), rows.find(3)];
  await nextTurn();
  expect(statements.map(({ ids }) => ids)).toEqual([[3]]);
  statements[0]!.answer([{ id: 3, name: 'third' }]);
  expect(await Promise.all(found)).toMatchObject([null, null, null, { name: 'third' }]);
});

test('a row that was read a moment ago is remembered as it was read last, and forgotten when it is gone', async () => {
  const { rows, statements } = slowDatabase();
  const aMinute = 60_000;
  const early = rows.find(1);
  await nextTurn();
  const late = rows.find(1);
  await nextTurn();
  statements[1]!.answer([{ id: 1, name: 'new' }]);
  await late;
  statements[0]!.answer([{ id: 1, name: 'old' }]);
  await early;
  expect(rows.recent(1, aMinute)).toMatchObject({ name: 'new' });
  expect(rows.recent(1, 0)).toBeNull();
  expect(rows.recent(2, aMinute)).toBeNull();

  const gone = rows.find(1);
  await nextTurn();
  statements[2]!.answer([]);
  await gone;
  expect(rows.recent(1, aMinute)).toBeNull();
});
