import { expect, test } from '@jest/globals';
import { FieldSchema } from '../../../src/bases/table-schema.ts';
import { decodeCopyCursor, encodeCopyCursor } from '../../../src/records/copies/copy-cursor.ts';
import { isPlaceIn, sortCell } from '../../../src/records/copies/sort-order.ts';

test('a cursor of the copy is taken back, however long the names of the choices are that it stands between', () => {
  const name = '長'.repeat(200);
  const fields = Array.from({ length: 10 }, (_, n) => {
    const choices = [{ id: `selAAAAAAAAAAAAA${n}`, name }];
    return new FieldSchema({
      id: `fldAAAAAAAAAAAAA${n}`,
      name: `${n}`,
      type: 'singleSelect',
      options: { choices },
    });
  });
  const sort = fields.map((field) => ({ field, direction: 'asc' as const }));
  const query = {
    ...{ connectionId: 1, baseId: 'appA', tableId: 'tblA', formula: null, tests: [], view: null },
    sort: sort.map(({ field, direction }) => ({ field: field.id, direction })),
  };
  const cells = fields.map((field) => sortCell(field, { [field.id]: name }));
  const position = { place: { cells, createdAt: 1, id: 'recAAAAAAAAAAAAAA' }, count: 1 };
  expect(cells).not.toContain(null);
  expect(decodeCopyCursor(query, encodeCopyCursor(query, position))).toEqual(position);
  expect(isPlaceIn(sort, position.place)).toBe(true);
});
