import type { GraphQLSchema } from 'graphql';
import { createSchema } from 'graphql-yoga';
import { cells, readCell, readFields, type WireContact } from '../contacts.ts';
import type { Setup } from './serve.ts';
import { createUpstream } from './upstream.ts';

const typeDefs = `
  scalar JSON
  type Query {
    "From memory."
    contacts: [Contact!]!
    "Fetched from the upstream."
    fetchedContacts(formula: String): [Contact!]!
  }
  type Contact {
    id: ID!
    createdTime: String!
    ${cells.map(({ name, type }) => `${name}: ${type}`).join('\n    ')}
    fields(names: [String!]!): JSON!
  }
`;

/** What somebody would write who needs this one page and nothing else: the same cells, by the same names. */
export function createPeerSchema(setup: Setup): GraphQLSchema {
  const fetchPage = createUpstream(setup);
  const { records } = setup.page;
  return createSchema({
    typeDefs,
    resolvers: {
      Query: {
        contacts: () => records,
        fetchedContacts: (_root: unknown, { formula }: { formula?: string | null }) =>
          fetchPage(formula ?? null),
      },
      Contact: {
        ...Object.fromEntries(
          cells.map((cell) => [cell.name, (contact: WireContact) => readCell(contact, cell)]),
        ),
        fields: (contact: WireContact, { names }: { names: string[] }) => readFields(contact, names),
      },
    },
  });
}
