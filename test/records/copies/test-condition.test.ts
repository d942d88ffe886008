import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { TableSchema } from '../../../src/bases/table-schema.ts';
import { AppError } from '../../../src/errors.ts';
import { isCopied } from '../../../src/records/copies/field-shapes.ts';
import { LowerCase } from '../../../src/records/copies/lower-case.ts';
import { StatementValues } from '../../../src/records/copies/statement.ts';
import { testCondition } from '../../../src/records/copies/test-condition.ts';
import { readConditions, testsFor } from '../../../src/records/filters/record-conditions.ts';
import type { RecordTest } from '../../../src/records/filters/record-test.ts';
import { createTestDatabase, type TestDatabase } from '../../support/database.ts';
import { repeats, timeLimitMs } from '../../support/repeats.ts';
import { filterCase, hostileText, type CaseField, type Cells } from '../filter-cases.ts';
import { passes } from '../plain-filter.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.close());

const createdTime = '2026-03-28T23:00:00.001Z';

/** Ids of the records for which the condition of the tests holds, by PostgreSQL. */
async function found(
  tests: readonly RecordTest[],
  records: readonly { id: string; cells: Cells }[],
): Promise<unknown[]> {
  const values = new StatementValues();
  const rows = values.add(JSON.stringify(records), 'jsonb');
  const created = values.add(createdTime, 'timestamptz');
  const conditions = tests.map((one) => testCondition(one, values));
  const answer = await database.query(
    `SELECT record.id FROM (
       SELECT place, row->>'id' AS id, row->'cells' AS cells, ${created} AS created_time
       FROM jsonb_array_elements(${rows}) WITH ORDINALITY AS listed(row, place)
     ) AS record WHERE ${['true', ...conditions].join(' AND ')} ORDER BY record.place`,
    values.list,
  );
  return answer.map(({ id }) => id);
}

function tableOf(fields: readonly CaseField[]): TableSchema {
  return new TableSchema({ id: 'tbl1', name: 'T', primaryFieldId: 'fld0', fields: [...fields], views: [] });
}

/** Null where live refuses, or a field is not to be had from a copy. */
function testsIfCopied(args: object, fields: readonly CaseField[]): RecordTest[] | null {
  const table = tableOf(fields);
  if (!table.fields.every(isCopied)) return null;
  try {
    return testsFor(readConditions(args), table);
  } catch (error) {
    if (error instanceof AppError) return null;
    throw error;
  }
}

describe('the condition of a filter in SQL', () => {
  test(
    'finds the same records as the filter in plain JavaScript',
    async () => {
      let [exact, some] = [0, 0];
      await fc.assert(
        fc.asyncProperty(filterCase, async ({ fields: all, records, filter }) => {
          const fields = all.filter((field) => isCopied(tableOf([field]).fields[0]!));
          const tests = namesAny(filter, all, fields) ? null : testsIfCopied({ filter }, fields);
          fc.pre(tests !== null);
          const wanted = records.filter(({ cells }) => passes(filter, fields, cells)).map(({ id }) => id);
          exact += 1;
          if (wanted.length > 0 && wanted.length < records.length) some += 1;
          expect(await found(tests, records)).toEqual(wanted);
        }),
        { numRuns: repeats({ suite: 150, long: 20_000 }) },
      );
      expect(some / exact).toBeGreaterThan(0.1);
    },
    timeLimitMs,
  );

  test(
    'maps to lower case as JavaScript does what it says that it can find so',
    async () => {
      const lowerCase = new LowerCase(database.query);
      let [tried, all] = [0, 0];
      const fields = [{ id: 'fld0', name: 'Text', type: 'singleLineText' }];
      const character = fc.oneof(hostileText, fc.string({ unit: 'grapheme', maxLength: 3 }));
      const text = fc.array(character, { maxLength: 3 }).map((parts) => parts.join(''));
      const isTold = (one: string) => !/[\p{Cc}\p{Cs}\u2028\u2029]/u.test(one);
      await fc.assert(
        fc.asyncProperty(
          fc.array(text.filter(isTold), { minLength: 1, maxLength: 10 }),
          text.filter(isTold),
          async (cells, typed) => {
            all += 1;
            const search = typed.trim();
            fc.pre(
              search !== '' &&
                (await lowerCase.canFind([search, search.toLowerCase(), search.toUpperCase()])),
            );
            tried += 1;
            const wants = [search, search.toLowerCase(), search.toUpperCase()];
            const records = [...cells, ...wants].map((cell, index) => ({
              id: `rec${index}`,
              cells: cell === '' ? {} : { fld0: cell },
            }));
            for (const want of wants) {
              const tests = testsIfCopied(
                { filter: { field: 'Text', contains: want, ignoreCase: true } },
                fields,
              )!;
              const wanted = records.filter(({ cells: { fld0 = '' } }) =>
                fld0.toLowerCase().includes(want.toLowerCase()),
              );
              expect(await found(tests, records)).toEqual(wanted.map(({ id }) => id));
            }
          },
        ),
        { numRuns: repeats({ suite: 40, long: 20_000 }) },
      );
      // Of forty, chance may take a good part away.
      expect(tried / all).toBeGreaterThan(repeats({ suite: 0.3, long: 0.6 }));
    },
    timeLimitMs,
  );

  test('compares the time of creation with that of the record, to the millisecond', async () => {
    const fields = [{ id: 'fld0', name: 'Created', type: 'createdTime', options: {} }];
    const records = [{ id: 'rec0', cells: {} }];
    const at = (operator: string, value: string) =>
      found(testsIfCopied({ filter: { field: 'Created', [operator]: value } }, fields)!, records);
    expect(await at('eq', createdTime)).toEqual(['rec0']);
    expect(await at('gt', '2026-03-28T23:00:00.000Z')).toEqual(['rec0']);
    expect(await at('lt', createdTime)).toEqual([]);
    expect(await at('lte', createdTime)).toEqual(['rec0']);
  });
});

/** Whether a filter names a field that is not among the copied ones. */
function namesAny(filter: object, all: readonly CaseField[], copied: readonly CaseField[]): boolean {
  const text = JSON.stringify(filter);
  return all.some(
    (field) =>
      !copied.includes(field) &&
      (text.includes(`"field":${JSON.stringify(field.name)}`) ||
        text.includes(`"field":${JSON.stringify(field.id)}`)),
  );
}
