import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  getIntrospectionQuery,
  Kind,
  parse,
  visit,
  type DocumentNode,
  type FragmentDefinitionNode,
  type SelectionSetNode,
} from 'graphql';
import { documentLimits, measureDocument, type Measure } from '../../src/graphql/document-limits.ts';
import { startTestApp, type TestApp } from '../support/app.ts';

let app: TestApp;
beforeAll(async () => {
  app = await startTestApp();
});
afterAll(() => app.close());

const times = (count: number, text: (index: number) => string) =>
  Array.from({ length: count }, (_, index) => text(index)).join(' ');

const base = 'base(connection: 1, baseId: "appABC123")';

/** Tables and bases in turn, as deep as asked. */
function nested(depth: number): string {
  let inner = 'id';
  for (let level = depth - 1; level > 1; level -= 1)
    inner = `${level % 2 === 0 ? 'tables' : 'base'} { ${inner} }`;
  return `{ ${base} { ${inner} } }`;
}

const introspection = (depth: number) =>
  `{ __schema { types { fields { args { type { ${'ofType { '.repeat(depth - 6)} name ${'} '.repeat(depth - 6)} } } } } } }`;

/** The list is longer than the field takes, which is only noticed when the document has passed. */
const tokens = (count: number) => `{ nodes(ids: [${'"a" '.repeat(count - 12)}]) { __typename } }`;

const atEdge: Record<keyof typeof documentLimits, (amount: number) => string> = {
  characters: (amount) => `{ __typename }${' '.repeat(amount - 14)}`,
  tokens,
  fields: (amount) => `{ connections { ${times(amount - 1, () => 'id')} } }`,
  fragments: (amount) => `{ ${times(amount, () => '... { __typename }')} }`,
  aliases: (amount) => `{ ${times(amount, (index) => `a${index}: __typename`)} }`,
  directives: (amount) => `{ connections { ${times(amount, () => 'id @include(if: true)')} } }`,
  depth: nested,
  introspectionDepth: introspection,
  valueDepth: (depth) =>
    `{ ${base} { table(id: "a") { records(filter: ${'{ not: '.repeat(depth - 1)}{}${' }'.repeat(depth - 1)}) { __typename } } } }`,
};

/** Two to the 22nd selections, none of which counts as a field. */
function emptyBomb(type: string, salt: number): string {
  const doubling = times(
    22,
    (index) => `fragment F${index} on ${type} { ...F${index + 1} ...F${index + 1} }`,
  );
  const bomb = `${doubling} fragment F22 on ${type} { __typename }`;
  return `query Q${salt} { ${type === 'Query' ? '...F0' : `${base} { ...F0 }`} } ${bomb}`;
}

const refusals = ['DOCUMENT_TOO_COMPLEX', 'GRAPHQL_PARSE_FAILED', 'GRAPHQL_VALIDATION_FAILED'];

async function refusalOf(document: string): Promise<string | undefined> {
  const { errors } = await app.graphql(document);
  return errors?.map((error) => error.extensions.code).find((code) => refusals.includes(code));
}

describe('the limits on documents', () => {
  test.each(Object.entries(atEdge))(
    '%s: at the limit a document passes, one above it is refused',
    async (name, make) => {
      const limit = documentLimits[name as keyof typeof documentLimits];
      expect(await refusalOf(make(limit))).toBeUndefined();
      // Twice, since an answer that was remembered must be the same.
      for (let attempt = 0; attempt < 2; attempt += 1) {
        const { status, data, errors } = await app.graphql(
          make(limit + 1),
          {},
          { headers: { accept: 'application/graphql-response+json' } },
        );
        expect({ status, data }).toEqual({ status: 400, data: undefined });
        expect(errors).toHaveLength(1);
        expect(errors?.[0]).toMatchObject({
          message: expect.stringContaining(`${limit}`),
          extensions: {
            code: 'DOCUMENT_TOO_COMPLEX',
            limit: name,
            maximum: limit,
            requestId: expect.any(String),
          },
        });
      }
    },
  );

  test('fragments count as often as they are spread', async () => {
    const document = (spreads: number) =>
      `{ connections { ${'...F '.repeat(spreads)} } } fragment F on Connection { ${'id '.repeat(23)} }`;
    expect(await refusalOf(document(13))).toBeUndefined(); // 1 + 13 × 23 = 300
    expect((await app.graphql(document(14))).errors?.[0]?.extensions).toMatchObject({ limit: 'fields' });
  });

  test('all operations of a document count together', async () => {
    const operation = (name: string) => `query ${name} { connections { ${'id '.repeat(150)} } }`;
    expect((await app.graphql(`${operation('A')} ${operation('B')}`)).errors?.[0]?.extensions).toMatchObject({
      limit: 'fields',
    });
  });

  test.each([
    ['1,000 aliases', (salt: number) => `{ ${times(1_000, (index) => `a${salt}x${index}: __typename`)} }`],
    ['5,000 fields', (salt: number) => `query Q${salt} { connections { ${'id '.repeat(4_990)} } }`],
    ['5,000 plain __typename', (salt: number) => `query Q${salt} { ${'__typename '.repeat(5_000)} }`],
    ['a depth of 500', (salt: number) => `query Q${salt} ${nested(500)}`],
    [
      'a depth that the parser has no stack for',
      (salt: number) => `query Q${salt} ${'{a'.repeat(3_300)}${'}'.repeat(3_300)}`,
    ],
    ['1,000 directives', (salt: number) => `query Q${salt} { __typename ${'@aa '.repeat(1_000)} }`],
    [
      'a fragment bomb',
      (salt: number) =>
        `query Q${salt} { ...F0 } ${times(200, (index) => `fragment F${index} on Query { ...F${index + 1} ...F${index + 1} }`)} fragment F200 on Query { connections { id } }`,
    ],
    ...(['Base', 'Query'] as const).map(
      (type) =>
        [
          `a fragment bomb on ${type} that holds nothing but __typename`,
          (salt: number) => emptyBomb(type, salt),
        ] as const,
    ),
    [
      'fragments that spread each other',
      (salt: number) => `query Q${salt} { ...A } fragment A on Query { ...B } fragment B on Query { ...A }`,
    ],
    ['nothing but brackets', () => '{'.repeat(90_000)],
    [
      'lists in lists',
      (salt: number) => `query Q${salt} { nodes(ids: ${'['.repeat(4_900)}${']'.repeat(4_900)}) { id } }`,
    ],
  ])('%s are answered at once, in less than 2 kB', async (_name, make) => {
    const durations: number[] = [];
    for (let salt = 0; salt < 8; salt += 1) {
      const document = make(salt);
      const startedAt = process.cpuUsage();
      const response = await fetch(`${app.url}/graphql`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: `Bearer ${app.adminKey}` },
        body: JSON.stringify({ query: document }),
      });
      const text = await response.text();
      const { user, system } = process.cpuUsage(startedAt);
      durations.push((user + system) / 1_000);
      expect(text.length).toBeLessThan(2_000);
      const { errors } = JSON.parse(text) as { errors: { extensions: { code: string } }[] };
      for (const error of errors) expect(refusals).toContain(error.extensions.code);
    }
    // Work of client and server together, in milliseconds. Not the time that went by, which others on the machine share.
    expect(Math.min(...durations)).toBeLessThan(40);
  });

  test("the standard introspection query passes with all of graphql-js's options", async () => {
    const document = getIntrospectionQuery({
      descriptions: true,
      specifiedByUrl: true,
      directiveIsRepeatable: true,
      schemaDescription: true,
      inputValueDeprecation: true,
      oneOf: true,
    });
    const { data, errors } = await app.graphql(document);
    expect(errors).toBeUndefined();
    expect(data.__schema.types.length).toBeGreaterThan(30);
  });

  test("Apollo's documents pass: a plain __typename in every selection costs nothing", async () => {
    const plain = `{ connections { ${'id '.repeat(200)} ... on CalendlyConnection { ${times(98, () => 'account { __typename }')} } } }`;
    const withTypenames = visit(parse(plain), {
      SelectionSet: (node) => ({
        ...node,
        selections: [
          ...node.selections.filter(
            (selection) => selection.kind !== Kind.FIELD || selection.name.value !== '__typename',
          ),
          { kind: Kind.FIELD, name: { kind: Kind.NAME, value: '__typename' } },
        ],
      }),
    });
    expect(measureDocument(withTypenames)).toMatchObject({ fields: 299, aliases: 0 });
    expect(await refusalOf(plain)).toBeUndefined();
  });
});

describe('the count that visits each fragment once', () => {
  /** Spreads every fragment out, then walks what there is. */
  function naive(document: DocumentNode): Measure {
    const fragments = new Map<string, FragmentDefinitionNode>();
    for (const definition of document.definitions)
      if (definition.kind === Kind.FRAGMENT_DEFINITION) fragments.set(definition.name.value, definition);
    const total: Measure = {
      fields: 0,
      aliases: 0,
      fragments: 0,
      directives: 0,
      depth: 0,
      introspectionDepth: 0,
      valueDepth: 0,
    };
    const walk = (set: SelectionSetNode, depth: number, introspection: number): void => {
      let typenames = 0;
      for (const selection of set.selections) {
        total.directives += selection.directives?.length ?? 0;
        if (selection.kind !== Kind.FIELD) total.fragments += 1;
        if (selection.kind === Kind.INLINE_FRAGMENT) walk(selection.selectionSet, depth, introspection);
        else if (selection.kind === Kind.FRAGMENT_SPREAD) {
          const fragment = fragments.get(selection.name.value);
          total.directives += fragment?.directives?.length ?? 0;
          if (fragment) walk(fragment.selectionSet, depth, introspection);
        } else {
          const name = selection.name.value;
          if (selection.alias) total.aliases += 1;
          else if (name === '__typename' && (typenames += 1) === 1) continue;
          total.fields += 1;
          const starts = name === '__schema' && introspection === 0;
          const now = starts || introspection > 0 ? introspection + 1 : 0;
          if (now > 0) total.introspectionDepth = Math.max(total.introspectionDepth, now);
          if (now <= 1) total.depth = Math.max(total.depth, depth + 1);
          if (selection.selectionSet) walk(selection.selectionSet, now > 0 ? depth : depth + 1, now);
        }
      }
    };
    for (const definition of document.definitions) {
      if (definition.kind !== Kind.OPERATION_DEFINITION) continue;
      total.directives += definition.directives?.length ?? 0;
      walk(definition.selectionSet, 0, 0);
    }
    return total;
  }

  const fragmentCount = 5;
  const directives = fc.constantFrom('', '', ' @a', ' @a @b');

  /** Text of a selection set; spreads only fragments from `first` on, so that there are no cycles. */
  const selectionSet = (first: number): fc.Arbitrary<string> =>
    fc.letrec<{ set: string; selection: string }>((tie) => ({
      set: fc
        .array(tie('selection'), { minLength: 1, maxLength: 4 })
        .map((selections) => `{ ${selections.join(' ')} }`),
      selection: fc.oneof(
        { maxDepth: 4, depthSize: 'small' },
        fc
          .tuple(fc.constantFrom('x', 'y', '__typename', 'a: x', 'a: __typename'), directives)
          .map((parts) => parts.join('')),
        fc.tuple(fc.constantFrom('x', 'b: y'), directives, tie('set')).map((parts) => parts.join(' ')),
        fc.tuple(directives, tie('set')).map(([given, set]) => `... on T${given} ${set}`),
        ...(first < fragmentCount
          ? [
              fc
                .tuple(fc.integer({ min: first, max: fragmentCount - 1 }), directives)
                .map(([index, given]) => `...F${index}${given}`),
            ]
          : []),
      ),
    })).set;

  // Every fragment is spread at least once: a valid document has no unused ones.
  const everyFragment = times(fragmentCount, (index) => `...F${index}`);
  const documents = fc
    .tuple(
      fc.tuple(selectionSet(0), selectionSet(0), directives),
      ...Array.from({ length: fragmentCount }, (_, index) => fc.tuple(selectionSet(index + 1), directives)),
    )
    .map(([[operation, introspected, given], ...fragments]) => {
      const definitions = fragments.map(([set, own], index) => `fragment F${index} on T${own} ${set}`);
      // Introspection begins at the root, and only there: elsewhere the document would not be valid.
      return `query${given} { ${everyFragment} x ${operation} i: __schema ${introspected} } ${definitions.join(' ')}`;
    });

  test('equals a naive expansion', () => {
    fc.assert(
      fc.property(documents, (text) => {
        const document = parse(text);
        expect(measureDocument(document)).toEqual(naive(document));
      }),
      { numRuns: 500 },
    );
  });
});
