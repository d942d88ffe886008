import { expect, test } from '@jest/globals';
import { buildSchema, NoUnusedFragmentsRule, parse, specifiedRules, validate } from 'graphql';
import { readdirSync, readFileSync } from 'node:fs';
import { checkDocument } from '../../src/graphql/document-limits.ts';

const root = new URL('../../', import.meta.url);
const schema = buildSchema(readFileSync(new URL('schema.graphql', root), 'utf8'));
// A page may explain a fragment by itself.
const rules = specifiedRules.filter((rule) => rule !== NoUnusedFragmentsRule);

const files = readdirSync(new URL('docs/', root))
  .filter((name) => name.endsWith('.md'))
  .map((name) => `docs/${name}`);

const examples = ['README.md', ...files].flatMap((name) =>
  [...readFileSync(new URL(name, root), 'utf8').matchAll(/^ *```graphql\n([\s\S]*?)^ *```/gm)].map(
    ([, source = ''], index) => ({ place: `${name}, example ${index + 1}`, source }),
  ),
);

test('the documentation has GraphQL examples', () => {
  expect(examples.length).toBeGreaterThan(10);
});

test.each(examples)('$place is a document that the server accepts', ({ source }) => {
  const document = parse(source);
  expect(validate(schema, document, rules).map(({ message }) => message)).toEqual([]);
  expect(checkDocument(document)).toBeNull();
});
