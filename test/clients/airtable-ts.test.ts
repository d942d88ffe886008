import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { AirtableTs, type Table } from 'airtable-ts';
import { CONTACTS, CRM, SandboxAccount } from './sandbox-account.ts';

interface Contact {
  id: string;
  name: string;
  email: string | null;
  status: string | null;
  tags: string[];
  vip: boolean;
  score: number | null;
  lastContactedAt: number | null;
  company: string | null;
  dealCount: number;
}

const contactTable: Table<Contact> = {
  name: 'contact',
  baseId: CRM,
  tableId: CONTACTS,
  schema: {
    name: 'string',
    email: 'string | null',
    status: 'string | null',
    tags: 'string[]',
    vip: 'boolean',
    score: 'number | null',
    lastContactedAt: 'number | null',
    company: 'string | null',
    dealCount: 'number',
  },
  mappings: {
    name: 'Name',
    email: 'Email',
    status: 'Status',
    tags: 'Tags',
    vip: 'VIP',
    score: 'Score',
    lastContactedAt: 'Last contacted',
    company: 'Company',
    dealCount: 'Deal count',
  },
};

const AWKWARD = `It's "so" \\ {odd}\n🦄`;

let account: SandboxAccount;
let db: AirtableTs;

beforeAll(async () => {
  account = await SandboxAccount.open();
  db = new AirtableTs({ apiKey: account.accessToken, endpointUrl: account.url });
});

afterAll(() => account.close());

test('a typed record is inserted, scanned, updated and removed', async () => {
  const inserted = await db.insert(contactTable, {
    name: AWKWARD,
    email: 'odd@example.com',
    status: 'Lead',
    tags: ['Press', 'Beta, early'],
    vip: true,
    score: 0,
    lastContactedAt: 1_767_323_045,
  });
  expect(inserted).toMatchObject({
    name: AWKWARD,
    tags: ['Press', 'Beta, early'],
    vip: true,
    score: 0,
    lastContactedAt: 1_767_323_045,
    company: null,
    dealCount: 0,
  });

  const [scanned] = await db.scan(contactTable, { filterByFormula: `RECORD_ID()='${inserted.id}'` });
  expect(scanned).toEqual(inserted);

  const updated = await db.update(contactTable, {
    id: inserted.id,
    status: 'Customer',
    vip: false,
    score: null,
  });
  expect(updated).toEqual({ ...inserted, status: 'Customer', vip: false, score: null });
  await expect(db.get(contactTable, inserted.id)).resolves.toEqual(updated);

  await expect(db.remove(contactTable, inserted.id)).resolves.toEqual({ id: inserted.id });
  await expect(db.get(contactTable, inserted.id)).rejects.toThrow();
});

test('a scan reads the whole table into the declared types', async () => {
  const all = await db.scan(contactTable);
  expect(all.length).toBe(250);
  expect(all.some((contact) => contact.company !== null)).toBe(true);
  expect(all.some((contact) => contact.dealCount > 0)).toBe(true);
});

test('a field that does not exist is reported by the client, from the schema it read', async () => {
  const missing: Table<{ id: string; nope: string }> = {
    name: 'contact',
    baseId: CRM,
    tableId: CONTACTS,
    schema: { nope: 'string' },
  };
  await expect(db.scan(missing)).rejects.toThrow(/nope/);
});
