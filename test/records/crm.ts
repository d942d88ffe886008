import { control, type TestApp } from '../support/app.ts';

export const crm = 'appABC123';
export type TableName = 'Contacts' | 'Companies' | 'Deals';

/** A record as the tests know it: its links by field name. */
export interface KnownRecord {
  id: string;
  nodeId: string;
  name: string;
  links: Record<string, string[]>;
}

export const linkFields: Record<TableName, Record<string, TableName>> = {
  Contacts: { Company: 'Companies', Deals: 'Deals' },
  Companies: { Contacts: 'Contacts', Deals: 'Deals' },
  Deals: { Contacts: 'Contacts', Company: 'Companies' },
};

/** All records of a table, read page by page through the API. */
export async function allRecords(
  { graphql }: Pick<TestApp, 'graphql'>,
  connection: number,
  table: TableName,
): Promise<KnownRecord[]> {
  const names = ['Name', ...Object.keys(linkFields[table])];
  const answer = await graphql(
    `query ($connection: Int!, $table: String!, $names: [String!]) {
      base(connection: $connection, baseId: "${crm}") { table(id: $table) {
        records(first: 1000) { nodes { id nodeId fields(names: $names) } pageInfo { hasNextPage } }
      } }
    }`,
    { connection, table, names },
  );
  const page = answer.data?.base.table.records;
  if (!page || page.pageInfo.hasNextPage) throw new Error(`Not one page: ${JSON.stringify(answer.errors)}`);
  return page.nodes.map(
    ({ id, nodeId, fields }: { id: string; nodeId: string; fields: Record<string, unknown> }) => ({
      id,
      nodeId,
      name: fields.Name,
      links: Object.fromEntries(Object.keys(linkFields[table]).map((field) => [field, fields[field]])),
    }),
  );
}

/** Calls that reached the sandbox while `work` ran, by endpoint. */
export async function countCalls<T>(
  { sandbox }: Pick<TestApp, 'sandbox'>,
  work: () => Promise<T>,
): Promise<{ result: T; calls: Record<string, number> }> {
  await fetch(`${sandbox.url}/_control/calls`, { method: 'DELETE' });
  const result = await work();
  const { byEndpoint } = await control<{ byEndpoint: Record<string, number> }>(sandbox.url, 'calls');
  return { result, calls: byEndpoint };
}

export async function clearFaults({ sandbox }: Pick<TestApp, 'sandbox'>): Promise<void> {
  await fetch(`${sandbox.url}/_control/faults`, { method: 'DELETE' });
}
