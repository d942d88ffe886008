import type { SeedBase } from '../bases/documents.ts';
import { Ids } from '../ids.ts';
import { addCompanies, addContacts, addDeals } from './crm-records.ts';
import { CRM_BASE_ID, crmTables } from './crm-schema.ts';
import { SeedRandom } from './seed-random.ts';

const SEED = 20_260_301;

const COUNTS = {
  full: { contacts: 4_000, companies: 600, deals: 2_500 },
  large: { contacts: 50_000, companies: 600, deals: 2_500 },
  small: { contacts: 250, companies: 40, deals: 150 },
} as const;

/** A CRM with every main type of field, the same at every call. Links are kept on both sides. */
export function crmBase(size: keyof typeof COUNTS): SeedBase {
  const counts = COUNTS[size];
  const ids = new Ids(SEED);
  const random = new SeedRandom(SEED + 1);
  const tables = crmTables(ids);
  addCompanies(tables, counts.companies, ids, random);
  addContacts(tables, counts.contacts, ids, random);
  addDeals(tables, counts.deals, random);
  const all = [tables.contacts, tables.companies, tables.deals];
  return {
    id: CRM_BASE_ID,
    name: 'Marketing CRM',
    tables: all.map((table) => table.doc),
    records: all.flatMap((table) => table.records),
  };
}
