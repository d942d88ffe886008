import { afterAll, beforeAll, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { TableSchema } from '../../src/bases/table-schema.ts';
import { cellFault } from '../../src/records/writes/cell-check.ts';
import { checkRecords } from '../../src/records/writes/record-check.ts';
import { ANN, BASE_ID, THINGS_ID } from '../sandbox/records/fixture-base.ts';
import { RecordApi } from '../sandbox/records/record-api.ts';

let api: RecordApi;
let table: TableSchema;
beforeAll(async () => {
  api = await RecordApi.start();
  const { body } = await api.call<{ tables: ConstructorParameters<typeof TableSchema>[0][] }>(
    'GET',
    `/meta/bases/${BASE_ID}/tables`,
  );
  table = new TableSchema(body.tables.find(({ id }) => id === THINGS_ID)!);
});
afterAll(() => api[Symbol.asyncDispose]());

/** Values near what some field takes, besides anything that JSON can hold. Ids and users exist: only the upstream knows. */
const likelyValue = fc.oneof(
  {
    arbitrary: fc.constantFrom('', ' ', 'Low', 'low', 'High', 'Hihg', '12', '1.5 %', 'yes', 'A, B'),
    weight: 3,
  },
  fc.constantFrom(0, 1, 3, 5, 6, -1, 2.5, 1e300, true, false, null),
  fc
    .date({ min: new Date('1990-01-01'), max: new Date('2100-01-01'), noInvalidDate: true })
    .chain((at) =>
      fc.constantFrom(at.toISOString(), at.toISOString().slice(0, 10), at.toISOString().slice(0, 19)),
    ),
  fc.constantFrom(
    '2026-02-29',
    '2024-02-29',
    '2026-13-01',
    '2026-1-1',
    '31/12/2026',
    '2026-01-01T10:00',
    '2026-01-01 10:00',
  ),
  fc.constantFrom(
    [],
    ['Low'],
    ['Low', 'High'],
    ['Low', 'Lwo'],
    [ANN],
    ['Ann'],
    ['recNope!'],
    [1],
    [null],
    [[]],
  ),
  fc.constantFrom<object>(
    {},
    { id: 'usrAdaLovelace001' },
    { email: 'ada@example.com' },
    { id: 7 },
    { text: 'x' },
    { text: 'x', type: 'ean' },
    { text: 1 },
    [{ email: 'ada@example.com' }],
    ['usrAdaLovelace001'],
    [{ url: 'https://example.com/a.png' }],
    [{ url: 'ftp://example.com/a.png' }],
    [{ url: 'nonsense' }],
    [{ url: 'https://example.com/a', filename: 5 }],
    [{ id: 'attGone' }],
  ),
  fc.jsonValue({ maxDepth: 2 }),
);

const write = (field: string, value: unknown, typecast: boolean) =>
  api.call('POST', `/${BASE_ID}/${THINGS_ID}`, { records: [{ fields: { [field]: value } }], typecast });

test('what passes the check is what the upstream takes, for any value in any field', async () => {
  let [passed, refused] = [0, 0];
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...table.fields), likelyValue, async (field, value) => {
      const { status, body } = await write(field.id, value, false);
      const fault = cellFault(field, value, { typecast: false, isNew: true, suggests: false });
      expect({ field: field.name, value, fault: fault === null, body }).toMatchObject({
        fault: status === 200,
      });
      if (fault === null) passed += 1;
      else refused += 1;
    }),
    { numRuns: 220, seed: 20_260_101 },
  );
  expect(Math.min(passed, refused)).toBeGreaterThan(15);
});

test('with typecast, nothing that the upstream would convert is refused', async () => {
  let converted = 0;
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...table.fields), likelyValue, async (field, value) => {
      const fault = cellFault(field, value, { typecast: true, isNew: true, suggests: false });
      if (fault === null) return;
      converted += 1;
      const { status } = await write(field.id, value, true);
      expect({ field: field.name, value, fault, status }).toMatchObject({ status: 422 });
    }),
    { numRuns: 160, seed: 20_260_102 },
  );
  expect(converted).toBeGreaterThan(15);
});

const check = (fields: Record<string, unknown>) => checkRecords([{ fields }], table, { typecast: false })[0]!;

test('every fault of a record is told at once, each with its path', () => {
  const { faults } = check({
    Nmae: 'x',
    Number: 'many',
    Level: 'Hihg',
    Serial: 1,
    When: '2026-01-01T25:00',
    Tags: ['Low', 'Average', 'Lwo'],
  });
  expect(faults.map(({ path, message }) => [path.join('.'), message])).toEqual([
    ['records.0.fields.Nmae', expect.stringContaining('Did you mean "Name"?')],
    [
      'records.0.fields.Number',
      '"Number" takes a number, not a text. With "typecast" the service converts it where it can.',
    ],
    ['records.0.fields.Level', expect.stringContaining('"Hihg" is none. Did you mean "High"?')],
    ['records.0.fields.Serial', '"Serial" is computed (autoNumber), so nobody can write it. Leave it out.'],
    ['records.0.fields.When', expect.stringContaining('"2026-01-01T25:00"')],
    ['records.0.fields.Tags', expect.stringContaining('"Lwo" is none. Did you mean "Low"?')],
  ]);
});

test('a field given by name and by id is a fault', () => {
  const { id } = table.getField('Name');
  expect(check({ Name: 'a', [id]: 'b' }).faults).toMatchObject([{ path: ['records', '0', 'fields', id] }]);
});

test('a field may be called like a property that every object has', () => {
  expect(
    check(JSON.parse('{"constructor": 1, "__proto__": 2}') as Record<string, unknown>).faults,
  ).toHaveLength(2);
});
