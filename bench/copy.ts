import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { isDeepStrictEqual } from 'node:util';
import type { Child } from './child.ts';
import { baseId, tableId } from './contacts.ts';
import { load, type Round, type Target } from './load.ts';
import { cpuReport, lineOf, table as reportTable } from './report.ts';
import { editContacts } from './sandbox-edits.ts';
import { onStage, type Stage } from './stage.ts';

export const copy = 'copy';
export const explainCopy =
  'reads from the copy of a table, next to PostGraphile and a SELECT by hand, under two minutes';

const contacts = 10_000;
const perEdit = 1_000;
const connections = 50;
const warmUpMs = 3_000;
const rounds = 5;
const roundMs = 1_000;
const patienceMs = 120_000;
const site = 'https://site1.example';

/** How a contact is asked for; numbers and checkboxes as what they are. */
const ourCells =
  'id name: text(field: "Name") email: text(field: "Email") status: text(field: "Status") score: number(field: "Score") vip: checked(field: "VIP") phone: text(field: "Phone")';
const theirCells = 'id: _calendlyId name email status score vip phone';

type Row = Record<string, unknown>;
interface Contestant {
  label: string;
  child: Child;
  page: object;
  lookup: (id: string) => object;
  rows: (data: unknown) => Row[];
}

export async function benchCopy(profileDir: string | null): Promise<void> {
  installPostGraphile();
  await onStage(play, profileDir);
}

/** Apart from the product, and only for this scenario. */
function installPostGraphile(): void {
  const folder = fileURLToPath(new URL('./postgraphile/', import.meta.url));
  if (!existsSync(`${folder}node_modules`))
    execFileSync('npm', ['ci', '--no-audit', '--no-fund'], { cwd: folder, stdio: 'inherit' });
}

async function play({ sandbox, start }: Stage): Promise<void> {
  const ids = await addContacts(sandbox.url);
  const ours = await start('ours-with-log.ts');
  const table = await copyContacts(ours);
  const contestants: Contestant[] = [
    {
      label: 'ours',
      child: ours,
      page: graphql(
        `query ($c: Int!, $site: FilterValue!) { base(connection: $c, baseId: "${baseId}") { table(id: "${tableId}") { records(first: 100, maxAge: "P1D", filter: { field: "Website", eq: $site }, sort: [{ field: "Score", direction: DESC }]) { source nodes { ${ourCells} } } } } }`,
        { c: ours.connection, site },
      ),
      lookup: (id) =>
        graphql(
          `query ($c: Int!, $id: String!) { record(connection: $c, baseId: "${baseId}", tableId: "${tableId}", recordId: $id, maxAge: "P1D") { source ${ourCells} } }`,
          { c: ours.connection, id },
        ),
      rows: ourRows,
    },
    {
      label: 'PostGraphile 5',
      child: await start('postgraphile.ts', { table }),
      page: graphql(
        `query ($site: String!) { allContacts(first: 100, condition: { website: $site }, orderBy: [SCORE_DESC]) { nodes { ${theirCells} } } }`,
        { site },
      ),
      lookup: (id) =>
        graphql(`query ($id: String!) { contactByCalendlyId(_calendlyId: $id) { ${theirCells} } }`, { id }),
      rows: theirRows,
    },
    {
      label: 'SELECT by hand',
      child: await start('pg-select.ts', { table }),
      page: { site },
      lookup: (id) => ({ id }),
      rows: (data) => data as Row[],
    },
  ];
  await compare(
    'copy, page',
    `100 of ${contacts} contacts, by their website, the highest score first.`,
    contestants,
    ({ page }) => [page],
  );
  const some = ids.slice(0, connections);
  await compare('copy, lookup', 'One contact by its id.', contestants, ({ lookup }) => some.map(lookup));
}

function graphql(query: string, variables: object): object {
  return { query, variables };
}

async function addContacts(sandboxUrl: string): Promise<string[]> {
  const ids: string[] = [];
  for (let from = 0; from < contacts; from += perEdit) {
    const create = Array.from({ length: perEdit }, (_, index) => ({
      fields: {
        Name: `Ada Lovelace ${from + index}`,
        Email: `ada${from + index}@example.com`,
        Phone: `+44 20 7946 ${from + index}`,
        Status: ['Lead', 'Active', 'Customer', 'Inactive', 'Churned'][index % 5],
        // No seed has it, so that each has a score: not all servers put empty ones last.
        Website: `https://site${index % 5}.example`,
        Score: (from + index * 7_919) % 10_007,
        VIP: index % 3 === 0,
        Notes: 'Met at the fair. '.repeat(1 + (index % 10)),
      },
    }));
    ids.push(...(await editContacts(sandboxUrl, { create })).created);
  }
  return ids;
}

/** @returns the typed table that the sync keeps */
async function copyContacts(ours: Child): Promise<string> {
  const input = { connection: ours.connection, baseId, tableId };
  const made = (await ask(
    ours,
    graphql(
      'mutation ($input: CreateSyncInput!) { createSync(input: $input) { ... on CreateSyncSuccess { sync { id } } ... on Error { message } } }',
      { input },
    ),
  )) as { createSync: { sync?: { id: string }; message?: string } };
  const { sync, message } = made.createSync;
  if (!sync) throw new Error(`The sync was not made: ${message}`);
  for (const until = Date.now() + patienceMs; Date.now() < until; await setTimeout(200)) {
    const told = (await ask(
      ours,
      graphql('query ($id: String!) { sync(id: $id) { state table } }', { id: sync.id }),
    )) as {
      sync: { state: string; table: string };
    };
    if (told.sync.state === 'LIVE') return told.sync.table;
  }
  throw new Error('The sync was not filled in time.');
}

async function ask({ url, headers }: Pick<Child, 'url' | 'headers'>, body: object): Promise<unknown> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  });
  const text = await response.text();
  const { data, errors } = JSON.parse(text) as { data?: unknown; errors?: unknown };
  if (response.status !== 200 || errors || !data) throw new Error(`${url} answered ${text.slice(0, 1_000)}`);
  return data;
}

async function compare(
  name: string,
  explanation: string,
  contestants: readonly Contestant[],
  bodiesOf: (contestant: Contestant) => object[],
): Promise<void> {
  const entries = contestants.map((contestant) => {
    const { url, headers } = contestant.child;
    const bodies = bodiesOf(contestant).map((body) => JSON.stringify(body));
    return {
      contestant,
      target: { url, headers, bodies } satisfies Target,
      rounds: [] as Round[],
      cpuSeconds: 0,
    };
  });
  await requireSame(contestants, bodiesOf);
  for (const { target } of entries) await load(target, connections, warmUpMs);
  for (let round = 0; round < rounds; round += 1) {
    for (const entry of entries) {
      const { child } = entry.contestant;
      const before = (await child.cpuSeconds()) ?? Number.NaN;
      entry.rounds.push(await load(entry.target, connections, roundMs));
      entry.cpuSeconds += ((await child.cpuSeconds()) ?? Number.NaN) - before;
    }
  }
  const lines = entries.map(({ contestant, rounds: all, cpuSeconds }) =>
    lineOf(contestant.label, all, Number.isNaN(cpuSeconds) ? null : cpuSeconds),
  );
  console.log(`\n## ${name}\n${explanation}\n\n${reportTable(lines)}\n${cpuReport(lines)}`);
}

/** A benchmark of wrong answers says nothing. Of equal scores each may put another first. */
async function requireSame(
  contestants: readonly Contestant[],
  bodiesOf: (contestant: Contestant) => object[],
): Promise<void> {
  const answers = await Promise.all(
    contestants.map(async (contestant) => ({
      label: contestant.label,
      rows: contestant.rows(await ask(contestant.child, bodiesOf(contestant)[0]!)),
    })),
  );
  const scores = (rows: Row[]) => rows.map(({ score }) => Number(score));
  const keys = (rows: Row[]) => rows.map((row) => Object.keys(row).sort());
  const [first, ...others] = answers;
  for (const { label, rows } of others) {
    if (
      isDeepStrictEqual(scores(rows), scores(first!.rows)) &&
      isDeepStrictEqual(keys(rows), keys(first!.rows))
    )
      continue;
    throw new Error(
      `${label} gives ${JSON.stringify(rows[0])}, ${first!.label} ${JSON.stringify(first!.rows[0])}`,
    );
  }
}

function ourRows(data: unknown): Row[] {
  const { base, record } = data as {
    base?: { table: { records: { source: string; nodes: Row[] } } };
    record?: Row;
  };
  const { source, nodes } = base?.table.records ?? {
    source: record?.['source'],
    nodes: [withoutSource(record ?? {})],
  };
  if (source !== 'COPY') throw new Error(`Ours answered from ${String(source)}`);
  return nodes;
}

function withoutSource({ source: _source, ...row }: Row): Row {
  return row;
}

function theirRows(data: unknown): Row[] {
  const { allContacts, contactByCalendlyId } = data as {
    allContacts?: { nodes: Row[] };
    contactByCalendlyId?: Row;
  };
  return allContacts?.nodes ?? [contactByCalendlyId ?? {}];
}
