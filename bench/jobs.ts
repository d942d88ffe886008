import type { Operation } from '../test/records/fewest-calls.ts';
import { baseId } from './contacts.ts';
import { links, type Crm } from './crm.ts';

/** What one way of doing a job has got so far: names by id, or by themselves where they were written. */
export type Found = Map<string, string>;

/** One piece of work that can be done with either client. */
export interface Job {
  name: string;
  explanation: string[];
  /** What a right answer holds. */
  expected: Found;
  /** The GraphQL operation that does it. */
  document: string;
  variables: object;
  /** Adds to `found` what the answer of the operation holds. */
  read(data: Answer, found: Found): void;
  /** What the operation has to look up or write, to compute the fewest calls from. */
  needs: Omit<Operation, 'document'>;
}

interface Named {
  id: string;
  name: string | null;
}
interface Answer {
  base: {
    table: {
      recordsById: Named[];
      records: {
        nodes: (Named & { contacts: (Named & { companies: Named[] })[] })[];
      };
    };
  };
  createRecords: { results: { status: string; record: Named }[] };
}

export const readCount = 1_000;
export const rootCount = 200;
export const writeCount = 500;

const name = 'name: text(field: "Name")';
const place = '$connection: Int!';

/** @returns the three jobs, over the data of `crm` */
export function jobsOf(crm: Crm): Job[] {
  return [readById(crm), readLinked(crm), write()];
}

/** The ids to read, spread over the whole table. */
export function idsToRead({ contacts }: Crm): string[] {
  const step = Math.floor(contacts.length / readCount);
  return Array.from({ length: readCount }, (_, index) => contacts[index * step]!.id);
}

/** The names to write. */
export function namesToWrite(): string[] {
  return Array.from({ length: writeCount }, (_, index) => `Written ${index}`);
}

function readById(crm: Crm): Job {
  const ids = idsToRead(crm);
  const names = new Map(crm.contacts.map(({ id, fields }) => [id, fields.Name ?? '']));
  return {
    name: `${readCount.toLocaleString('en-GB')} records by id`,
    explanation: ['Their names. Ours: one `recordsById`.'],
    expected: new Map(ids.map((id) => [id, names.get(id) ?? ''])),
    document: `query (${place}, $ids: [String!]!) { base(connection: $connection, baseId: "${baseId}") { table(id: "Contacts") { recordsById(ids: $ids) { id ${name} } } } }`,
    variables: { ids },
    read: ({ base }, found) =>
      base.table.recordsById.forEach((record) => found.set(record.id, record.name ?? '')),
    needs: { bases: [baseId], levels: [{ Contacts: ids }] },
  };
}

function readLinked(crm: Crm): Job {
  const deals = crm.deals.slice(0, rootCount);
  const contactsById = new Map(crm.contacts.map((contact) => [contact.id, contact]));
  const companiesById = new Map(crm.companies.map((company) => [company.id, company]));
  const contacts = deals.flatMap((deal) => links(deal, 'Contacts')).map((id) => contactsById.get(id)!);
  const companies = contacts
    .flatMap((contact) => links(contact, 'Company'))
    .map((id) => companiesById.get(id)!);
  return {
    name: `3 levels over ${rootCount} roots`,
    explanation: [
      `The first ${rootCount} deals, the contacts of each, the company of each contact; all names. Ours: one query with \`linked\`.`,
    ],
    expected: new Map([...deals, ...contacts, ...companies].map(({ id, fields }) => [id, fields.Name ?? ''])),
    document: `query (${place}, $first: Int) { base(connection: $connection, baseId: "${baseId}") { table(id: "Deals") { records(first: $first) { nodes { id ${name}
      contacts: linked(field: "Contacts") { id ${name} companies: linked(field: "Company") { id ${name} } } } } } } }`,
    variables: { first: rootCount },
    read: ({ base }, found) => {
      for (const deal of base.table.records.nodes) {
        found.set(deal.id, deal.name ?? '');
        for (const contact of deal.contacts) {
          found.set(contact.id, contact.name ?? '');
          for (const company of contact.companies) found.set(company.id, company.name ?? '');
        }
      }
    },
    needs: {
      bases: [baseId],
      pages: () => [rootCount],
      levels: [{ Contacts: contacts.map(({ id }) => id) }, { Companies: companies.map(({ id }) => id) }],
    },
  };
}

function write(): Job {
  const names = namesToWrite();
  return {
    name: `${writeCount} records written`,
    explanation: ['One cell each. Ours: one `createRecords`.'],
    expected: new Map(names.map((each) => [each, each])),
    document: `mutation (${place}, $records: [RecordToCreate!]!) { createRecords(input: { connection: $connection, baseId: "${baseId}", tableId: "Contacts", records: $records }) {
      ... on CreateRecordsSuccess { results { status record { id ${name} } } } ... on Error { message } } }`,
    variables: { records: names.map((Name) => ({ fields: { Name } })) },
    read: ({ createRecords }, found) =>
      createRecords.results
        .filter(({ status }) => status === 'WRITTEN')
        .forEach(({ record }) => found.set(record.name ?? '', record.name ?? '')),
    needs: { bases: [baseId], writes: [{ endpoint: 'createRecords', records: writeCount }] },
  };
}
