import type { RecordDoc, StoredAttachment } from '../bases/documents.ts';
import type { Ids } from '../ids.ts';
import { companyName } from './company-names.ts';
import { INDUSTRIES, STAGES, STATUSES, TAGS, type CrmTables } from './crm-schema.ts';
import { AWKWARD_NAMES, mailboxName, personName } from './person-names.ts';
import type { SeedRandom } from './seed-random.ts';
import { link } from './seed-table.ts';

const ADA = { id: 'usrAdaLovelace001', email: 'ada@example.com', name: 'Ada Lovelace' };
const GRACE = { id: 'usrGraceHopper002', email: 'grace@example.com', name: 'Grace Hopper' };
const ALAN = { id: 'usrAlanTuring0003', email: 'alan@example.com', name: 'Alan Turing' };
const PEOPLE = [ADA, GRACE, ALAN] as const;

const FIRST_CREATION = Date.UTC(2024, 0, 8, 9);
const LAST_CREATION = Date.UTC(2026, 5, 30, 17);

const NOTES = [
  'Met at the spring conference.\nWants a demo in autumn.',
  'Prefers e-mail; does not pick up the phone.',
  'Asked twice about “volume discounts” — follow up!',
  'Sagt: „Wir melden uns.“',
  '紹介で知り合った。',
] as const;
const STREETS = [
  '1 Infinite Loop',
  'Hauptstraße 12',
  'Rue de l’Église 7',
  'Calle Mayor 3, 2º',
  '丸の内1-1',
] as const;
const SUMMARY = { state: 'generated', isStale: false, value: 'A friendly contact.' };

export function addCompanies({ companies }: CrmTables, count: number, ids: Ids, random: SeedRandom): void {
  for (let index = 0; index < count; index += 1) {
    const name = companyName(random);
    companies.record(creation(index, count), {
      Name: name,
      Website: `https://${mailboxName(name).replaceAll('.', '-')}-${index + 1}.example`,
      Industry: random.sometimes(0.95, () => random.pick(INDUSTRIES)),
      Employees: random.sometimes(0.9, () => random.integer(0, 20_000)),
      'Annual revenue': random.sometimes(0.7, () => random.integer(10, 90_000) * 1_000),
      Founded: random.sometimes(0.8, () => random.date(1890, 2024)),
      Address: random.sometimes(0.6, () => random.pick(STREETS)),
      Priority: random.sometimes(0.5, () => random.integer(1, 4)),
      'Key account': random.chance(0.1),
      Logo: random.sometimes(0.2, () => [picture(ids, 'logo.png', random)]),
      'Account team': random.sometimes(0.3, () => random.some(PEOPLE, 2)),
    });
  }
  for (const [index, company] of companies.records.entries()) {
    const parent = random.sometimes(0.15, () => companies.records[random.integer(0, count)]);
    if (index > 0 && parent && parent !== company) companies.put(company, 'Parent company', [parent.id]);
  }
}

/** The first contacts have the awkward names, and one further has no cell at all. */
export function addContacts(
  { contacts, companies }: CrmTables,
  count: number,
  ids: Ids,
  random: SeedRandom,
): void {
  for (let index = 0; index < count; index += 1) {
    const isBlank = index === AWKWARD_NAMES.length;
    const name = AWKWARD_NAMES[index] ?? personName(random);
    const cells = isBlank ? {} : contactCells(name, index, ids, random);
    const contact = contacts.record(creation(index, count), cells, {
      autoNumber: index + 1,
      createdById: random.chance(0.7) ? ADA.id : GRACE.id,
    });
    if (random.chance(0.3)) {
      contact.modifiedTime = new Date(LAST_CREATION + random.integer(0, 86_400_000)).toISOString();
      contact.modifiedById = GRACE.id;
      contact.modifiedTimes = { [contacts.fieldId('Score')]: contact.modifiedTime };
    }
    if (!isBlank && random.chance(0.85)) {
      link([contacts, 'Company'], contact, [companies, 'Contacts'], [random.pick(companies.records)]);
    }
  }
  contacts.doc.lastAutoNumber = count;
}

/** Scores, e-mails and so on are now and then missing, and a score may be 0. */
function contactCells(name: string, index: number, ids: Ids, random: SeedRandom): Record<string, unknown> {
  const mailbox = mailboxName(name);
  return {
    Name: name,
    Email: random.sometimes(0.95, () => `${mailbox}.${index + 1}@example.com`),
    Status: random.sometimes(0.97, () => random.pick(STATUSES)),
    Phone: random.sometimes(
      0.7,
      () => `+1 555 ${random.integer(100, 1_000)} ${random.integer(1_000, 10_000)}`,
    ),
    Website: random.sometimes(0.2, () => `https://${mailbox}.example/~${index + 1}`),
    Notes: random.sometimes(0.3, () => random.pick(NOTES)),
    Bio: random.sometimes(0.1, () => `**${name}** works on _many_ things:\n\n- one\n- two\n`),
    Tags: random.sometimes(0.5, () => random.some(TAGS, 3)),
    VIP: random.chance(0.08),
    Score: random.sometimes(0.9, () => random.integer(0, 101)),
    Rating: random.sometimes(0.6, () => random.integer(1, 6)),
    Budget: random.sometimes(0.5, () => random.integer(0, 10_000_000) / 100),
    Engagement: random.sometimes(0.5, () => random.integer(0, 1_001) / 1_000),
    Birthday: random.sometimes(0.4, () => random.date(1940, 2006)),
    'Last contacted': random.sometimes(0.6, () => random.dateTime(2025, 2027)),
    'Call duration': random.sometimes(0.3, () => random.integer(5, 7_200)),
    Owner: random.sometimes(0.8, () => random.pick(PEOPLE)),
    Watchers: random.sometimes(0.1, () => random.some(PEOPLE, 3)),
    Avatar: random.sometimes(0.1, () => [picture(ids, 'avatar.jpg', random)]),
    Badge: random.sometimes(0.1, () => ({ text: String(random.integer(1e11, 1e12)), type: 'ean13' })),
    Summary: random.sometimes(0.05, () => SUMMARY),
    Source: random.sometimes(0.2, () => random.pick(['Website form', 'Trade fair', 'Import'])),
  };
}

export function addDeals({ contacts, companies, deals }: CrmTables, count: number, random: SeedRandom): void {
  const companyById = new Map(companies.records.map((company) => [company.id, company]));
  const companyField = contacts.fieldId('Company');
  for (let index = 0; index < count; index += 1) {
    const people = random.chance(0.95) ? random.some(contacts.records, 3) : [];
    const company = companyOf(people[0], companyField, companyById);
    const deal = deals.record(
      creation(index, count),
      {
        Name: `Deal ${index + 1}: ${random.pick(['Pilot', 'Renewal', 'Upgrade', 'Licence', 'Zusatzmodul'])}`,
        Stage: random.pick(STAGES),
        Amount: random.sometimes(0.95, () => random.integer(0, 5_000_000) / 100),
        Probability: random.sometimes(0.8, () => random.integer(0, 11) / 10),
        'Close date': random.sometimes(0.85, () => random.date(2025, 2028)),
        'Next meeting': random.sometimes(0.4, () => random.dateTime(2026, 2027)),
        'Next step': random.sometimes(0.3, () => 'Send the offer,\nthen call.'),
        Owner: random.sometimes(0.9, () => random.pick(PEOPLE)),
      },
      { autoNumber: index + 1, createdById: ADA.id },
    );
    link([deals, 'Contacts'], deal, [contacts, 'Deals'], people);
    if (company) link([deals, 'Company'], deal, [companies, 'Deals'], [company]);
  }
  deals.doc.lastAutoNumber = count;
}

function companyOf(
  contact: RecordDoc | undefined,
  companyField: string,
  companyById: ReadonlyMap<string, RecordDoc>,
): RecordDoc | undefined {
  const ids = contact?.cells[companyField];
  return Array.isArray(ids) ? companyById.get(String(ids[0])) : undefined;
}

/** Spread evenly over the years, so that order of creation is order of the list. */
function creation(index: number, count: number): string {
  const step = (LAST_CREATION - FIRST_CREATION) / count;
  return new Date(FIRST_CREATION + Math.floor(index * step)).toISOString();
}

function picture(ids: Ids, filename: string, random: SeedRandom): StoredAttachment {
  return {
    id: ids.next('att'),
    filename,
    size: random.integer(2_000, 90_000),
    type: filename.endsWith('png') ? 'image/png' : 'image/jpeg',
    width: 256,
    height: 256,
  };
}
