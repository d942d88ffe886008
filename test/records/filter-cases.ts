import fc from 'fast-check';
import type { RecordFilter } from '../../src/records/filters/filter.ts';

/** A field as the upstream's schema tells it, and what a cell of it may hold. */
export interface CaseField {
  id: string;
  name: string;
  type: string;
  options?: Record<string, unknown>;
}

export type Cells = Record<string, unknown>;

export interface FilterCase {
  fields: CaseField[];
  records: { id: string; cells: Cells }[];
  filter: RecordFilter;
}

/** Texts that end a literal where the escaping has a hole, or look equal to what they are not. */
export const hostileText = fc
  .array(
    fc.constantFrom(
      ...["'", '"', '\\', '\\\\', '{', '}', '(', ')', ',', ', ', ' ', '&', '=', '%', '#', '`', '/*', '//'],
      ...["'),TRUE(),('", "' & '", '"', '\\n', '\\t', "\\'", 'RECORD_ID()', '{fld0}', '”', '’'],
      ...[
        'a',
        'A',
        'é',
        'É',
        'e\u0301',
        'ß',
        'İ',
        'ı',
        'Σ',
        'ς',
        '0',
        '5',
        '1.5',
        '-1',
        '😀',
        '👩‍👩‍👧',
        'ﬁ',
        '\u00a0',
      ],
    ),
    { maxLength: 6 },
  )
  .map((parts) => parts.join(''));

const filledText = hostileText.map((text) => text || 'x');
const numberCell = fc.oneof(
  fc.constantFrom(0, 1, 5, -1, 0.1, 0.3, 1.5, 1e21, 1e-7, -2.5e-9, 123456789.125),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
);
const dayCell = fc
  .integer({ min: Date.UTC(2025, 11, 28), max: Date.UTC(2026, 3, 2) })
  .map((at) => new Date(at).toISOString().slice(0, 10));
const instantCell = fc
  .oneof(
    fc.integer({ min: Date.UTC(2026, 2, 27), max: Date.UTC(2026, 2, 31) }),
    fc.constantFrom(0, 1, -1, 3_600_000).map((off) => Date.UTC(2026, 2, 28, 23) + off),
  )
  .map((at) => new Date(at).toISOString());
const choices = ['Open', 'Closed', 'Open, late', 'late', "it's", 'open', 'Beta', '"Beta"', 'a\\', '}', '5'];
const choiceCell = fc.constantFrom(...choices);
const choicesCell = fc.uniqueArray(choiceCell, { minLength: 1, maxLength: 4 });
const linkedIds = ['recA1', 'recB2', 'recC3'];
const name = fc.constantFrom('Ada Lovelace', "O'Hara", 'Grace', 'grace', 'Doe, John', '{x}');
const errorCell = fc.constantFrom({ error: '#ERROR!' });
const oddNumber = fc.constantFrom('NaN', 'Infinity', '-Infinity').map((specialValue) => ({ specialValue }));

interface CaseKind {
  type: string;
  options?: Record<string, unknown>;
  cell: fc.Arbitrary<unknown>;
  compares:
    'text' | 'number' | 'day' | 'instant' | 'checkbox' | 'choice' | 'choices' | 'links' | 'person' | 'filled';
}

const withChoices = { choices: choices.map((choice, index) => ({ id: `sel${index}`, name: choice })) };
const result = (type: string, options?: object) => ({ isValid: true, result: { type, options } });
const orError = (cell: fc.Arbitrary<unknown>) => fc.oneof({ weight: 4, arbitrary: cell }, errorCell);
const file = filledText.map((filename) => ({
  id: 'att1',
  filename,
  url: `https://files.example/${filename}`,
}));
const person = name.map((one) => ({ id: 'usr1', email: 'p@example.com', name: one }));

/** Every kind of field that a filter takes. */
const kinds: CaseKind[] = [
  ...['singleLineText', 'multilineText', 'richText', 'email', 'url', 'phoneNumber'].map((type): CaseKind => ({
    type,
    cell: filledText,
    compares: 'text',
  })),
  ...['number', 'percent', 'currency', 'rating', 'duration', 'autoNumber', 'count'].map((type): CaseKind => ({
    type,
    cell: numberCell,
    compares: 'number',
  })),
  { type: 'date', cell: dayCell, compares: 'day' },
  { type: 'createdTime', options: result('date'), cell: dayCell, compares: 'filled' },
  { type: 'dateTime', options: { timeZone: 'client' }, cell: instantCell, compares: 'instant' },
  { type: 'lastModifiedTime', options: result('dateTime'), cell: instantCell, compares: 'instant' },
  { type: 'checkbox', cell: fc.constant(true), compares: 'checkbox' },
  { type: 'singleSelect', options: withChoices, cell: choiceCell, compares: 'choice' },
  { type: 'multipleSelects', options: withChoices, cell: choicesCell, compares: 'choices' },
  {
    type: 'multipleRecordLinks',
    options: { linkedTableId: 'tbl2', inverseLinkFieldId: 'fldBack' },
    cell: fc.uniqueArray(fc.constantFrom(...linkedIds), { minLength: 1 }),
    compares: 'links',
  },
  { type: 'singleCollaborator', cell: person, compares: 'person' },
  { type: 'createdBy', cell: person, compares: 'person' },
  {
    type: 'multipleCollaborators',
    cell: fc.array(person, { minLength: 1, maxLength: 3 }),
    compares: 'filled',
  },
  { type: 'multipleAttachments', cell: fc.array(file, { minLength: 1, maxLength: 2 }), compares: 'filled' },
  { type: 'formula', options: result('singleLineText'), cell: orError(filledText), compares: 'text' },
  {
    type: 'formula',
    options: result('number', { precision: 2 }),
    cell: orError(fc.oneof(numberCell, oddNumber)),
    compares: 'number',
  },
  { type: 'rollup', options: result('currency'), cell: orError(numberCell), compares: 'number' },
  { type: 'formula', options: result('date'), cell: orError(dayCell), compares: 'filled' },
  { type: 'rollup', options: result('dateTime'), cell: orError(instantCell), compares: 'instant' },
  { type: 'formula', options: result('checkbox'), cell: orError(fc.constant(true)), compares: 'checkbox' },
  {
    type: 'formula',
    options: result('singleSelect', withChoices),
    cell: orError(choiceCell),
    compares: 'choice',
  },
  {
    type: 'multipleLookupValues',
    options: result('singleSelect', withChoices),
    cell: choicesCell,
    compares: 'choices',
  },
];

const zones = fc.constantFrom(
  'UTC',
  'Europe/Paris',
  'America/New_York',
  'Asia/Kolkata',
  'Pacific/Kiritimati',
  'Pacific/Niue',
);

/** Conditions on one field; values are drawn from what its cells may hold, so that some records pass. */
function conditionOn(field: string, { compares }: CaseKind): fc.Arbitrary<RecordFilter> {
  const empty = fc.boolean().map((isEmpty): RecordFilter => ({ field, isEmpty }));
  const textual = (text: fc.Arbitrary<string>): fc.Arbitrary<RecordFilter> => {
    const ignoreCase = fc.constantFrom(undefined, true, false);
    const part = text.map((whole) => [...whole].slice(0, 2).join('') || 'x');
    return fc.oneof(
      fc.record({ field: fc.constant(field), eq: text, ignoreCase }),
      fc.record({ field: fc.constant(field), ne: text, ignoreCase }),
      fc.record({ field: fc.constant(field), in: fc.array(text, { maxLength: 3 }), ignoreCase }),
      fc.record({ field: fc.constant(field), notIn: fc.array(text, { maxLength: 3 }), ignoreCase }),
      fc.record({ field: fc.constant(field), contains: part, ignoreCase }),
      fc.record({ field: fc.constant(field), startsWith: part, ignoreCase }),
      empty,
    );
  };
  const ordered = (
    value: fc.Arbitrary<string | number>,
    more: readonly string[],
    timeZone?: fc.Arbitrary<string>,
  ) =>
    fc.oneof(
      fc
        .tuple(
          fc.constantFrom('eq', 'ne', 'gt', 'gte', 'lt', 'lte', ...more),
          value,
          timeZone ?? fc.constant(undefined),
        )
        .map(([operator, one, zone]): RecordFilter => ({ field, [operator]: one, timeZone: zone })),
      fc
        .tuple(
          fc.constantFrom('in', 'notIn'),
          fc.array(value, { maxLength: 3 }),
          timeZone ?? fc.constant(undefined),
        )
        .map(([operator, list, zone]): RecordFilter => ({ field, [operator]: list, timeZone: zone })),
      ...(timeZone ? [] : [fc.tuple(value, value).map(([gte, lt]): RecordFilter => ({ field, gte, lt }))]),
      empty,
    );
  switch (compares) {
    case 'text':
      return textual(hostileText);
    case 'person':
      return textual(name);
    case 'number':
      return ordered(numberCell, []);
    case 'day':
      return ordered(dayCell, ['before', 'after']);
    case 'instant':
      return fc.oneof(
        ordered(instantCell, ['before', 'after']),
        ordered(dayCell, ['before', 'after'], zones),
      );
    case 'checkbox':
      return fc
        .tuple(fc.constantFrom('eq', 'ne'), fc.boolean())
        .map(([operator, value]): RecordFilter => ({ field, [operator]: value }));
    case 'choice':
      return fc.oneof(
        fc
          .tuple(fc.constantFrom('eq', 'ne'), choiceCell)
          .map(([operator, value]): RecordFilter => ({ field, [operator]: value })),
        fc
          .tuple(fc.constantFrom('in', 'notIn'), fc.array(choiceCell, { maxLength: 3 }))
          .map(([operator, value]): RecordFilter => ({ field, [operator]: value })),
        empty,
      );
    case 'choices':
      return fc.oneof(
        fc
          .tuple(fc.constantFrom('hasAny', 'hasAll', 'hasNone'), fc.array(choiceCell, { maxLength: 3 }))
          .map(([operator, value]): RecordFilter => ({ field, [operator]: value })),
        empty,
      );
    case 'links':
      return fc.oneof(
        fc.constantFrom(...linkedIds, 'recGone').map((hasRecord): RecordFilter => ({ field, hasRecord })),
        fc.subarray(linkedIds).map((hasAnyRecord): RecordFilter => ({ field, hasAnyRecord })),
      );
    case 'filled':
      return empty;
  }
}

function filterOn(
  fields: readonly CaseField[],
  kindOf: (field: CaseField) => CaseKind,
): fc.Arbitrary<RecordFilter> {
  const condition = fc
    .constantFrom(...fields)
    .chain((field) => fc.boolean().chain((byId) => conditionOn(byId ? field.id : field.name, kindOf(field))));
  return fc.letrec<{ filter: RecordFilter; group: RecordFilter }>((tie) => ({
    filter: fc.oneof({ depthSize: 'small', withCrossShrink: true }, condition, tie('group')),
    group: fc.oneof(
      fc.array(tie('filter'), { maxLength: 3 }).map((and): RecordFilter => ({ and })),
      fc.array(tie('filter'), { maxLength: 3 }).map((or): RecordFilter => ({ or })),
      tie('filter').map((not): RecordFilter => ({ not })),
    ),
  })).filter;
}

/** Random fields with hostile names, records with and without cells, and a filter on them. */
export const filterCase: fc.Arbitrary<FilterCase> = fc
  .tuple(
    fc.array(fc.constantFrom(...kinds), { minLength: 1, maxLength: 5 }),
    fc.array(hostileText, { minLength: 5, maxLength: 5 }),
  )
  .chain(([chosen, names]) => {
    const fields = chosen.map(({ type, options }, index): CaseField => {
      return { id: `fld${index}`, name: `${names[index]}/${index}`, type, options };
    });
    const cells = fc.record(Object.fromEntries(fields.map(({ id }, index) => [id, chosen[index]!.cell])), {
      requiredKeys: [],
    }) as fc.Arbitrary<Cells>;
    return fc.record({
      fields: fc.constant(fields),
      records: fc
        .array(cells, { minLength: 1, maxLength: 8 })
        .map((rows) => rows.map((row, index) => ({ id: `rec${index}`, cells: row }))),
      filter: filterOn(fields, (field) => chosen[fields.indexOf(field)]!),
    });
  });
