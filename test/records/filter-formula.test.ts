import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { fieldToFormulaValue } from '../../sandbox/formula/field-value.ts';
import { evaluate, parseFormula } from '../../sandbox/formula/formula.ts';
import { DEFAULT_FORMULA_READINGS, type FormulaReadings } from '../../sandbox/formula/readings.ts';
import type { Expression } from '../../sandbox/formula/syntax.ts';
import { includes } from '../../sandbox/formula/value.ts';
import { TableSchema } from '../../src/bases/table-schema.ts';
import { AppError } from '../../src/errors.ts';
import { passesTest } from '../../src/records/filters/cell-match.ts';
import type { RecordFilter } from '../../src/records/filters/filter.ts';
import { conditionsFormula, readConditions, testsFor } from '../../src/records/filters/record-conditions.ts';
import { fieldsOf } from '../../src/records/filters/recorded-fields.ts';
import { filterCase, hostileText, type CaseField, type Cells } from './filter-cases.ts';
import { passes } from './plain-filter.ts';

const names = Object.keys(DEFAULT_FORMULA_READINGS) as (keyof FormulaReadings)[];
const flipped = (...which: (keyof FormulaReadings)[]): FormulaReadings => ({
  ...DEFAULT_FORMULA_READINGS,
  ...Object.fromEntries(which.map((name) => [name, !DEFAULT_FORMULA_READINGS[name]])),
});
/** The likely reading of each unconfirmed rule, the other one of each, and one rule or another read the other way alone. */
const bothReadings = [flipped(), flipped(...names)];
const someReadings = fc.constantFrom(...names).map((name) => [...bothReadings, flipped(name)]);

function tableOf(fields: readonly CaseField[]): TableSchema {
  return new TableSchema({
    id: 'tbl1',
    name: 'Table',
    primaryFieldId: 'fld0',
    fields: [...fields],
    views: [],
  });
}

type Row = { id: string; cells: Cells };

function compile(
  args: { filter?: RecordFilter; search?: string; formula?: string },
  fields: readonly CaseField[],
  records: readonly Row[] = [],
): string | null {
  const conditions = readConditions(args);
  const narrowed = conditionsFormula(
    testsFor(conditions, tableOf(fields)),
    conditions.formula,
    (field, ids) =>
      records
        .filter(({ cells }) => ids.some((id) => (cells[field.id] as string[] | undefined)?.includes(id)))
        .map(({ id }) => id),
  );
  return narrowed === 'none' ? '0' : narrowed.formula;
}

/** Ids of the records that the upstream would list. */
function listed(
  formula: string | null,
  fields: readonly CaseField[],
  records: readonly Row[],
  reading: FormulaReadings,
) {
  if (formula === null) return records.map(({ id }) => id);
  const parsed = parseFormula(formula, reading);
  return records
    .filter(({ id, cells }) => {
      const value = evaluate(parsed, {
        id,
        createdTime: '2026-01-01T00:00:00.000Z',
        now: Date.UTC(2026, 0, 1),
        readings: reading,
        field: (fieldId) => {
          const field = fields.find((one) => one.id === fieldId)!;
          // A formula sees the names of linked records, and these have none.
          const cell = field.type === 'multipleRecordLinks' ? ['', ''] : cells[fieldId];
          return fieldToFormulaValue(field, cell, reading);
        },
      });
      return includes(value);
    })
    .map(({ id }) => id);
}

/** Ids of the records whose cells alone pass; undefined where a computed field has a say. */
function passing(
  filter: RecordFilter,
  fields: readonly CaseField[],
  records: readonly Row[],
): string[] | undefined {
  const tests = testsFor(readConditions({ filter }), tableOf(fields));
  if (tests.flatMap(fieldsOf).some(({ computed }) => computed)) return undefined;
  return records
    .filter(({ cells }) => tests.every((one) => passesTest(one, cells, true) === true))
    .map(({ id }) => id);
}

function compileIfExact(...args: Parameters<typeof compile>): string | null | undefined {
  try {
    return compile(...args);
  } catch (error) {
    if (error instanceof AppError && error.code === 'FILTER_NOT_EXACT') return undefined;
    throw error;
  }
}

describe('the formula of a filter', () => {
  test('lists the same records as the filter in plain JavaScript and on cells alone, under every reading of the unconfirmed rules', () => {
    let [exact, some] = [0, 0];
    fc.assert(
      fc.property(filterCase, someReadings, ({ fields, records, filter }, readings) => {
        const formula = compileIfExact({ filter }, fields, records);
        fc.pre(formula !== undefined);
        const wanted = records.filter(({ cells }) => passes(filter, fields, cells)).map(({ id }) => id);
        exact += 1;
        if (wanted.length > 0 && wanted.length < records.length) some += 1;
        for (const reading of readings) expect(listed(formula, fields, records, reading)).toEqual(wanted);
        expect(passing(filter, fields, records) ?? wanted).toEqual(wanted);
      }),
      { numRuns: 1_000 },
    );
    // Filters that let everything through, or nothing, would prove little.
    expect(some / exact).toBeGreaterThan(0.2);
  });

  test('keeps every text that a caller types inside of its literal', () => {
    const fields = [{ id: 'fld0', name: 'Text', type: 'singleLineText' }];
    const filters: ((text: string) => RecordFilter)[] = [
      (text) => ({ field: 'Text', eq: text }),
      (text) => ({ field: 'Text', ne: text, ignoreCase: true }),
      (text) => ({ field: 'Text', in: [text, text] }),
      (text) => ({ field: 'Text', contains: text }),
      (text) => ({ field: 'Text', startsWith: text }),
    ];
    fc.assert(
      fc.property(hostileText, fc.constantFrom(...filters), (text, filterFor) => {
        fc.pre(text !== '');
        for (const reading of bothReadings) {
          const honest = treeOf(compile({ filter: filterFor('x') }, fields)!, reading);
          const hostile = treeOf(compile({ filter: filterFor(text) }, fields)!, reading);
          expect(hostile.shape).toEqual(honest.shape);
          expect(hostile.texts).toEqual(honest.texts.map((one) => (one === 'x' ? text : one)));
        }
      }),
      { numRuns: 500 },
    );
  });

  test.each(['a\nb', 'a\rb', 'a\tb', '\0', '\u0085', '\u2028', '\ud800', 'a\udc00b'])(
    'refuses %j, which no literal is known to carry',
    (text) => {
      const fields = [{ id: 'fld0', name: 'Text', type: 'singleLineText' }];
      for (const args of [{ filter: { field: 'Text', eq: text } }, { search: `a${text}b` }])
        expect(() => compile(args, fields)).toThrow(expect.objectContaining({ code: 'FILTER_NOT_EXACT' }));
    },
  );
});

describe('a search', () => {
  test('finds the records with the text in any field of texts, whatever its case', () => {
    fc.assert(
      fc.property(filterCase, hostileText, someReadings, ({ fields, records }, typed, readings) => {
        const textual = fields.filter(({ type, options }) => {
          const result = (options?.result as { type: string } | undefined)?.type ?? type;
          return (
            type !== 'multipleLookupValues' &&
            /^(singleLineText|multilineText|richText|email|url|phoneNumber|singleSelect)$/.test(result)
          );
        });
        const text = typed.trim();
        fc.pre(textual.length > 0 && text !== '');
        const wanted = records.filter(({ cells }) =>
          textual.some(({ id }) => {
            const cell = cells[id];
            return typeof cell === 'string' && cell.toLowerCase().includes(text.toLowerCase());
          }),
        );
        const formula = compile({ search: typed }, fields);
        for (const reading of readings)
          expect(listed(formula, fields, records, reading)).toEqual(wanted.map(({ id }) => id));
      }),
      { numRuns: 300 },
    );
  });
});

describe('a formula beside a filter', () => {
  const fields = [{ id: 'fld0', name: 'Text', type: 'singleLineText' }];
  const filter = { field: 'Text', eq: 'mine' };

  test.each([
    '1',
    "{Text}='a)b'",
    "OR({Text}='(', {A ( b}, (1))",
    '"\\"("',
    '{Odd\\}name}',
    "'it\\'s (fine'",
  ])('is joined by AND: %s', (formula) => {
    expect(compile({ filter, formula }, fields)).toBe(`AND(({fld0}='mine'),(${formula}))`);
  });

  test.each(['1),OR(1', '1)', '(1', "'open", '{open', '1,1', "OR(1),'", '"a""', '1))+((1'])(
    'is refused when it would break out: %s',
    (formula) => {
      expect(() => compile({ filter, formula }, fields)).toThrow(
        expect.objectContaining({ code: 'FORMULA_INVALID' }),
      );
      // Alone it goes as it is, and the upstream judges it.
      expect(compile({ formula }, fields)).toBe(formula);
    },
  );
});

function treeOf(formula: string, reading: FormulaReadings): { shape: unknown; texts: string[] } {
  const texts: string[] = [];
  const walk = (node: Expression): unknown => {
    switch (node.kind) {
      case 'literal':
        if (typeof node.value === 'string') texts.push(node.value);
        return typeof node.value;
      case 'field':
        return node.name;
      case 'negate':
        return ['-', walk(node.operand)];
      case 'chain':
        return [walk(node.first), ...node.rest.map(({ operator, operand }) => [operator, walk(operand)])];
      case 'call':
        return [node.name, ...node.args.map(walk)];
    }
  };
  return { shape: walk(parseFormula(formula, reading).root), texts };
}
