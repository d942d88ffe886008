import { describe, expect, test } from '@jest/globals';
import { FIELD_TYPES, type SeedBase } from '../../../sandbox/bases/documents.ts';
import { countriesBase } from '../../../sandbox/data/countries.ts';
import { crmBase } from '../../../sandbox/data/crm.ts';
import { parseFormula } from '../../../sandbox/formula/formula.ts';

const ID = /^(app|tbl|fld|viw|rec|sel|att)[0-9A-Za-z]{14}$/;
const FIXED_IDS = ['appABC123', 'tblDEF456'];

const BASES: [string, SeedBase][] = [
  ['Marketing CRM', crmBase('small')],
  ['Countries of the World', countriesBase()],
];

describe.each(BASES)('%s', (_, base) => {
  const fields = base.tables.flatMap((table) => table.fields);

  test('has ids that look like ids, none twice', () => {
    const ids = [base.id, ...[...base.tables, ...fields, ...base.records].map(({ id }) => id)];
    ids.push(...base.tables.flatMap((table) => table.views.map((view) => view.id)));
    expect(ids.filter((id) => !ID.test(id) && !FIXED_IDS.includes(id))).toEqual([]);
    expect(new Set(ids).size).toBe(ids.length);
  });

  test('keeps links on both sides', () => {
    const recordById = new Map(base.records.map((record) => [record.id, record]));
    let links = 0;
    for (const field of fields.filter(({ type }) => type === 'multipleRecordLinks')) {
      const { inverseLinkFieldId, linkedTableId } = field.options ?? {};
      for (const record of base.records) {
        for (const id of (record.cells[field.id] ?? []) as string[]) {
          const other = recordById.get(id);
          expect(other?.tableId).toBe(linkedTableId);
          if (inverseLinkFieldId) expect(other?.cells[inverseLinkFieldId]).toContain(record.id);
          links += 1;
        }
      }
    }
    expect(links).toBeGreaterThan(100);
  });

  test('has formulas, filters and lookups that name what is there', () => {
    for (const table of base.tables) {
      const known = new Set(table.fields.map(({ id }) => id));
      const texts = [
        ...table.fields.flatMap(({ options }) => options?.formula ?? []),
        ...table.views.flatMap(({ filterFormula }) => filterFormula ?? []),
      ];
      for (const text of texts) {
        expect(parseFormula(text).fieldReferences.filter((id) => !known.has(id))).toEqual([]);
      }
    }
    for (const target of fields.flatMap(({ options }) => options?.fieldIdInLinkedTable ?? [])) {
      expect(fields.some(({ id }) => id === target)).toBe(true);
    }
  });
});

test('the CRM is the same at every call, and has the base and table that clients know', () => {
  expect(crmBase('small')).toEqual(crmBase('small'));
  expect(crmBase('small').id).toBe('appABC123');
  expect(crmBase('small').tables[0]).toMatchObject({ id: 'tblDEF456', name: 'Contacts' });
});

test('the CRM has every type of field but the undocumented one', () => {
  const used = new Set(crmBase('small').tables.flatMap((table) => table.fields.map(({ type }) => type)));
  expect(FIELD_TYPES.filter((type) => !used.has(type))).toEqual(['manualSort']);
});

test('the sizes', () => {
  const counts = (size: 'full' | 'small') => {
    const { tables, records } = crmBase(size);
    return tables.map((table) => [
      table.name,
      records.filter((record) => record.tableId === table.id).length,
    ]);
  };
  expect(counts('small')).toEqual([
    ['Contacts', 250],
    ['Companies', 40],
    ['Deals', 150],
  ]);
  expect(counts('full')).toEqual([
    ['Contacts', 4_000],
    ['Companies', 600],
    ['Deals', 2_500],
  ]);
});
