import { connectionsQuery, listLength } from './connections.ts';
import { cells, fieldNames, pageLength, baseId } from './contacts.ts';

export const serverNames = [
  'bare',
  'yoga',
  'yoga-pg',
  'mercurius',
  'apollo',
  'ours',
  'ours-from-memory',
] as const;
export type ServerName = (typeof serverNames)[number];

/** One line of a scenario's table. */
export interface Contestant {
  label: string;
  server: ServerName;
  /** The body of a request, for each of `questions` questions that differ. */
  body(question: number, connection: number): object;
  questions: number;
}

export interface Scenario {
  name: string;
  /** What is asked, and what is left out. */
  explanation: string[];
  contestants: Contestant[];
}

const peers: { label: string; server: ServerName }[] = [
  { label: 'bare node:http', server: 'bare' },
  { label: 'Yoga 5', server: 'yoga' },
  { label: 'mercurius, JIT', server: 'mercurius' },
  { label: 'Apollo Server 5', server: 'apollo' },
];
const ours = { label: 'ours', server: 'ours' } as const;
const oursFromMemory = { label: 'ours', server: 'ours-from-memory' } as const;

const peerCells = `id createdTime ${cells.map(({ name }) => name).join(' ')}`;
/** Our selection of a record, each cell a field. */
export const ourCells = `id createdTime ${cells.map(({ name, field, ours: as }) => `${name}: ${as}(field: "${field}")`).join(' ')}`;

const peerPage = `query Contacts { contacts { ${peerCells} } }`;
const peerJsonPage =
  'query Contacts($names: [String!]!) { contacts { id createdTime fields(names: $names) } }';
const peerFetchedPage = `query Contacts($formula: String) { fetchedContacts(formula: $formula) { ${peerCells} } }`;
/** Our document for the page. */
export const ourPage = (selection: string, variable = '', argument = ''): string =>
  `query Contacts($connection: Int!${variable}) { base(connection: $connection, baseId: "${baseId}") { table(id: "Contacts") {
    records(first: ${pageLength}${argument}) { nodes { ${selection} } } } } }`;

/** Questions of the fetching scenario that no two connections share. */
export const ownQuestions = 50;

export const scenarios: Scenario[] = [
  {
    name: 'hello',
    explanation: [
      'The document { __typename } on every server. Ours with everything on: API key from PostgreSQL, limits, CSRF,',
      'masking, extensions.upstream. The peers have nothing of that.',
    ],
    contestants: [...peers, ours].map((who) => ({
      ...who,
      questions: 1,
      body: () => ({ query: '{ __typename }' }),
    })),
  },
  {
    name: 'page100',
    explanation: [
      `${pageLength} records from memory, id, createdTime and ${cells.length} cells, each cell a GraphQL field. Peers resolve a prepared array.`,
      'Ours: planner and cell decoding as ever; only its transport is replaced, which gives again the answer it had once.',
    ],
    contestants: [
      ...peers.map((who) => ({ ...who, questions: 1, body: () => ({ query: peerPage }) })),
      {
        ...oursFromMemory,
        questions: 1,
        body: (_question, connection) => ({ query: ourPage(ourCells), variables: { connection } }),
      },
    ],
  },
  {
    name: 'page100-json',
    explanation: [
      'The same page from memory, the cells of a record as one JSON object, chosen by name: fields(names: [...]).',
    ],
    contestants: [
      ...peers.map((who) => ({
        ...who,
        questions: 1,
        body: () => ({ query: peerJsonPage, variables: { names: fieldNames } }),
      })),
      {
        ...oursFromMemory,
        questions: 1,
        body: (_question, connection) => ({
          query: ourPage('id createdTime fields(names: $names)', ', $names: [String!]!'),
          variables: { connection, names: fieldNames },
        }),
      },
    ],
  },
  {
    name: 'page100-fetched',
    explanation: [
      'The same page, each cell a field, fetched over HTTP from the bundled sandbox with its limit lifted, whose processor',
      'time is part of it. Each connection asks a question of its own, so that nothing can be shared; in the last line all',
      'ask the same, and ours lets requests that are under way at the same time share one call.',
    ],
    contestants: [
      ...peers.map((who) => ({
        ...who,
        questions: ownQuestions,
        body: (question: number) => ({ query: peerFetchedPage, variables: { formula: String(question) } }),
      })),
      ...[ownQuestions, 1].map((questions) => ({
        ...ours,
        label: questions === 1 ? 'ours, one question' : 'ours',
        questions,
        body: (question: number, connection: number) => ({
          query: ourPage(ourCells, ', $formula: String', ', formula: $formula'),
          variables: { connection, formula: String(question) },
        }),
      })),
    ],
  },
  {
    name: 'connections',
    explanation: [
      `The list of ${listLength} connections in all states, as a settings page reads it. Yoga sends the same statement by pg, for the same`,
      'rows and fields, with no key, limits, masking or anything else that ours has.',
    ],
    contestants: [{ label: 'Yoga 5, pg', server: 'yoga-pg' } as const, ours].map((who) => ({
      ...who,
      questions: 1,
      body: () => ({ query: connectionsQuery }),
    })),
  },
];
