import { baseId } from './contacts.ts';

/** A record as the jobs know it: its name, which a few have not, and its links by field. */
export interface Known {
  id: string;
  fields: Record<string, unknown> & { Name?: string };
}

/** What the jobs are about, read once from a sandbox whose limit is lifted: the same in each sandbox that starts. */
export interface Crm {
  contacts: Known[];
  companies: Known[];
  deals: Known[];
}

export async function readCrm(sandboxUrl: string, token: string): Promise<Crm> {
  const [contacts, companies, deals] = await Promise.all([
    readTable(sandboxUrl, token, 'Contacts', ['Name', 'Company']),
    readTable(sandboxUrl, token, 'Companies', ['Name']),
    readTable(sandboxUrl, token, 'Deals', ['Name', 'Contacts']),
  ]);
  return { contacts, companies, deals };
}

/** The ids behind a link field; the upstream leaves out an empty one. */
export function links(record: Known, field: string): string[] {
  return (record.fields[field] as string[] | undefined) ?? [];
}

async function readTable(
  sandboxUrl: string,
  token: string,
  table: string,
  fields: string[],
): Promise<Known[]> {
  const records: Known[] = [];
  for (let offset: string | undefined = ''; offset !== undefined;) {
    const query = new URLSearchParams(fields.map((field) => ['fields[]', field]));
    if (offset !== '') query.set('offset', offset);
    const response = await fetch(`${sandboxUrl}/v0/${baseId}/${table}?${query}`, {
      headers: { authorization: `Bearer ${token}` },
    });
    if (!response.ok) throw new Error(`The sandbox answered ${response.status}: ${await response.text()}`);
    const page = (await response.json()) as { records: Known[]; offset?: string };
    records.push(...page.records);
    offset = page.offset;
  }
  return records;
}
