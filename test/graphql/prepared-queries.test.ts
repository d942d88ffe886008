import { expect, test } from '@jest/globals';
import { DocumentCache } from '../../src/graphql/document-cache.ts';
import { PreparedQueries } from '../../src/graphql/prepared-queries.ts';
import { schema } from '../../src/graphql/schema.ts';

const listing = (variables: string, filter: string) =>
  `query (${variables}) { base(connection: 1, baseId: "appA") { table(id: "T") { records(filter: ${filter}) { pageInfo { hasNextPage } } } } }`;

test.each([
  ['a value of a filter', listing('$v: FilterValue', '{ not: { field: "Name", eq: $v } }'), true],
  ['a filter, which may hold filters', listing('$f: RecordFilter', '$f'), false],
  ['a list of filters', listing('$f: [RecordFilter!]!', '{ or: $f }'), false],
])('a query that comes again with %s as its variable is compiled: %#', (_what, text, isCompiled) => {
  const queries = new PreparedQueries(schema, new DocumentCache(), 1);
  queries.find(text, null);
  expect(queries.find(text, null)?.compiled !== null).toBe(isCompiled);
});
