import { isDeepStrictEqual } from 'node:util';
import { cells, readCell, type WirePageOfContacts } from './contacts.ts';
import type { Target } from './load.ts';

type Row = Record<string, unknown>;

/**
 * A benchmark of wrong answers says nothing: asks once and compares.
 * @param page null where the answer is `{ __typename }`
 */
export async function checkAnswer(
  label: string,
  { url, headers, bodies }: Target,
  page: WirePageOfContacts | null,
): Promise<void> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: bodies[0]!,
  });
  const text = await response.text();
  const { data, errors } = JSON.parse(text) as { data?: Row; errors?: unknown };
  if (response.status !== 200 || errors || !data)
    throw new Error(`${label} answered ${response.status}: ${text.slice(0, 1_000)}`);
  if (page === null) {
    if (data['__typename'] !== 'Query') throw new Error(`${label} answered ${text}`);
    return;
  }
  const given = rowsOf(data).map(flat);
  const expected = page.records.map((record) => [
    record.id,
    Date.parse(record.createdTime),
    ...cells.map((cell) => readCell(record, cell)),
  ]);
  const wrong = expected.findIndex((row, index) => !isDeepStrictEqual(row, given[index]));
  if (wrong === -1 && given.length === expected.length) return;
  throw new Error(
    `${label} gives another page: record ${wrong} is ${JSON.stringify(given[wrong])} in place of ${JSON.stringify(expected[wrong])}`,
  );
}

function rowsOf(data: Row): Row[] {
  const ours = data as { base?: { table: { records: { nodes: Row[] } } } };
  return ours.base ? ours.base.table.records.nodes : ((data['contacts'] ?? data['fetchedContacts']) as Row[]);
}

function flat(row: Row): unknown[] {
  const json = row['fields'] as Row | undefined;
  return [
    row['id'],
    Date.parse(String(row['createdTime'])),
    ...cells.map(({ name, field }) => (json ? json[field] : row[name])),
  ];
}

/** Asks every server for the list of connections, and compares. @throws Error when they do not tell the same */
export async function checkLists(
  servers: { label: string; target: Target }[],
  length: number,
): Promise<void> {
  const lists = await Promise.all(
    servers.map(async ({ label, target }) => ({ label, list: await listOf(target) })),
  );
  const [first, ...others] = lists;
  if (first?.list?.length !== length)
    throw new Error(`${first?.label} gives ${first?.list?.length ?? 'no'} connections in place of ${length}`);
  const other = others.find(({ list }) => !isDeepStrictEqual(list, first.list));
  if (other)
    throw new Error(
      `${other.label} gives another list than ${first.label}: ${JSON.stringify(other.list?.[0])} in place of ${JSON.stringify(first.list[0])}`,
    );
}

async function listOf({ url, headers, bodies }: Target): Promise<Row[] | undefined> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: bodies[0]!,
  });
  return ((await response.json()) as { data?: { connections: Row[] } }).data?.connections;
}
