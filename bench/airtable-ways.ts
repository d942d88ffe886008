import Airtable, { type FieldSet, type Table } from 'airtable';
import { baseId } from './contacts.ts';
import { idsToRead, namesToWrite, rootCount, type Found } from './jobs.ts';
import type { Crm } from './crm.ts';

const readBatch = 100;
const writeBatch = 10;
/** Five calls a second, and a little less, since nothing says where the upstream's second begins. */
const paceMs = 205;

/** What a way is given: the client, where to put what it finds, and when to give up. */
export interface Tools {
  table(name: string): Table<FieldSet>;
  crm: Crm;
  found: Found;
  /** To be awaited before each call. @throws when the time is up */
  turn(): Promise<void>;
}

/** One way to do the three jobs with the official client, in the order of `jobsOf`. */
export interface Way {
  label: string;
  paced: boolean;
  jobs: ((tools: Tools) => Promise<void>)[];
}

export function airtableTable(endpointUrl: string, apiKey: string): Tools['table'] {
  const base = new Airtable({ apiKey, endpointUrl }).base(baseId);
  return (name) => base.table(name);
}

/** A turn for each call: paced or at once. */
export function turns(paced: boolean, signal: AbortSignal): Tools['turn'] {
  let next = 0;
  return async () => {
    signal.throwIfAborted();
    if (!paced) return;
    const waitMs = Math.max(0, next - performance.now());
    next = Math.max(next, performance.now()) + paceMs;
    if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
  };
}

export const ways: Way[] = [
  {
    label: 'airtable, one by one',
    paced: false,
    jobs: [findEach, followEach, createEach],
  },
  {
    label: 'airtable, batched by hand',
    paced: false,
    jobs: [findBatched, followBatched, createBatched],
  },
  {
    label: 'airtable, batched and paced by hand',
    paced: true,
    jobs: [findBatched, followBatched, createBatched],
  },
];

async function findEach({ table, crm, found, turn }: Tools): Promise<void> {
  for (const id of idsToRead(crm)) {
    await turn();
    keep(found, [await table('Contacts').find(id)]);
  }
}

async function followEach(tools: Tools): Promise<void> {
  for (const deal of await deals(tools)) {
    for (const contactId of ids(deal, 'Contacts')) {
      await tools.turn();
      const contact = await tools.table('Contacts').find(contactId);
      keep(tools.found, [contact]);
      for (const companyId of ids(contact, 'Company')) {
        await tools.turn();
        keep(tools.found, [await tools.table('Companies').find(companyId)]);
      }
    }
  }
}

async function createEach({ table, found, turn }: Tools): Promise<void> {
  for (const Name of namesToWrite()) {
    await turn();
    keepWritten(found, [await table('Contacts').create({ Name })]);
  }
}

async function findBatched(tools: Tools): Promise<void> {
  await lookUp(tools, 'Contacts', idsToRead(tools.crm), ['Name']);
}

async function followBatched(tools: Tools): Promise<void> {
  const contactIds = (await deals(tools)).flatMap((deal) => ids(deal, 'Contacts'));
  const contacts = await lookUp(tools, 'Contacts', contactIds, ['Name', 'Company']);
  await lookUp(
    tools,
    'Companies',
    contacts.flatMap((contact) => ids(contact, 'Company')),
    ['Name'],
  );
}

async function createBatched({ table, found, turn }: Tools): Promise<void> {
  for (const names of slices(namesToWrite(), writeBatch)) {
    await turn();
    keepWritten(found, await table('Contacts').create(names.map((Name) => ({ fields: { Name } }))));
  }
}

/** The roots: the client pages by itself, so a pace can only be kept page by page. */
async function deals({ table, found, turn }: Tools): Promise<Row[]> {
  const records: Row[] = [];
  await turn();
  await table('Deals')
    .select({ fields: ['Name', 'Contacts'], maxRecords: rootCount })
    .eachPage((page, next) => {
      records.push(...page);
      void turn().then(next, next);
    });
  keep(found, records);
  return records;
}

/** The trick that those who know the API use: a formula that names a hundred ids. */
async function lookUp(
  { table, found, turn }: Tools,
  name: string,
  wanted: string[],
  fields: string[],
): Promise<Row[]> {
  const records: Row[] = [];
  for (const some of slices([...new Set(wanted)], readBatch)) {
    await turn();
    const filterByFormula = `OR(${some.map((id) => `RECORD_ID()='${id}'`).join(',')})`;
    const page = await table(name).select({ filterByFormula, fields }).firstPage();
    keep(found, page);
    records.push(...page);
  }
  return records;
}

interface Row {
  id: string;
  get(field: string): unknown;
}

function ids(row: Row, field: string): string[] {
  return (row.get(field) as string[] | undefined) ?? [];
}

function keep(found: Found, rows: readonly Row[]): void {
  for (const row of rows) found.set(row.id, (row.get('Name') as string | undefined) ?? '');
}

function keepWritten(found: Found, rows: readonly Row[]): void {
  for (const name of rows.map((row) => row.get('Name') as string)) found.set(name, name);
}

function slices<Item>(items: Item[], size: number): Item[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, index) =>
    items.slice(index * size, (index + 1) * size),
  );
}
