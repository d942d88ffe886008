import { fieldNames, pageLength, pagePath, type WirePageOfContacts } from './contacts.ts';
import { checkAnswer } from './answers.ts';
import { startChild, type Child } from './child.ts';
import { load, type Target } from './load.ts';
import { columns, median, thousands } from './report.ts';
import { ourCells, ourPage, ownQuestions } from './scenarios.ts';
import type { Setup } from './servers/serve.ts';

const lanes = 50;
const rounds = 5;
const roundMs = 1_000;
const warmUpMs = 3_000;

/** The two ways to ask ours for the cells of a page. */
const selections = [
  { label: 'ours, a field per cell', selection: ourCells, variable: '' },
  {
    label: 'ours, cells as JSON',
    selection: 'id createdTime fields(names: $names)',
    variable: ', $names: [String!]!',
  },
];

interface Round {
  recordsPerSecond: number;
  records: number;
}

/** One side: its process, and how it is kept busy. */
interface Side {
  label: string;
  child: Child;
  run(ms: number): Promise<Round>;
}

/**
 * Pages of a hundred records with the limit lifted: through our server, and without it. The processor time is that of the
 * process that asks the upstream: our server, or the program that does without.
 * @param setupFor gives the setup of a server against a sandbox
 * @param stops takes what has to be stopped afterwards
 * @returns the report
 */
export async function throughput(
  setupFor: (sandboxUrl: string, limited: boolean) => Promise<Setup>,
  stops: (() => Promise<void>)[],
): Promise<string> {
  const sandbox = await startChild('sandbox.ts', {}, { pinned: false });
  stops.push(() => sandbox.stop());
  const setup = await setupFor(sandbox.url, false);
  const plain = await startChild('plain-client.ts', setup, { pinned: true });
  stops.push(() => plain.stop());
  const ours = await startChild('ours.ts', setup, { pinned: true });
  stops.push(() => ours.stop());

  const targets = selections.map(({ label, selection, variable }) => ({
    label,
    target: ourTarget(ours, ourPage(selection, `, $formula: String${variable}`, ', formula: $formula')),
  }));
  const page = await fetchPage(setup);
  for (const { label, target } of targets) await checkAnswer(label, target, page);

  const sides: Side[] = [
    { label: 'plain HTTP client', child: plain, run: (ms) => askPlainly(plain, ms) },
    ...targets.map(({ label, target }) => ({ label, child: ours, run: (ms: number) => askOurs(target, ms) })),
  ];
  const results = sides.map((side) => ({ side, rates: [] as number[], records: 0, cpuSeconds: 0 }));
  for (const { run } of sides) await run(warmUpMs);
  for (let round = 0; round < rounds; round += 1) {
    for (const result of results) {
      const { child, run } = result.side;
      const before = (await child.cpuSeconds()) ?? Number.NaN;
      const { recordsPerSecond, records } = await run(roundMs);
      result.rates.push(recordsPerSecond);
      result.records += records;
      result.cpuSeconds += ((await child.cpuSeconds()) ?? Number.NaN) - before;
    }
  }
  const rows = results.map(({ side, rates, records, cpuSeconds }) => [
    side.label,
    thousands(median(rates)),
    Number.isNaN(cpuSeconds) ? '–' : ((cpuSeconds / records) * 1e6).toFixed(1),
  ]);
  return `\n## Limit lifted\nPages of ${pageLength} records, ${lanes} at a time, each with a question of its own.\n\n${columns(['', 'records/s', 'CPU µs per record'], rows)}`;
}

async function askPlainly({ url }: Child, ms: number): Promise<Round> {
  const response = await fetch(`${url}/?ms=${ms}&lanes=${lanes}`);
  if (!response.ok) throw new Error(`The plain client failed: ${await response.text()}`);
  const { records, tookMs } = (await response.json()) as { records: number; tookMs: number };
  return { records, recordsPerSecond: records / (tookMs / 1_000) };
}

async function askOurs(target: Target, ms: number): Promise<Round> {
  const { requestsPerSecond, latencies } = await load(target, lanes, ms);
  return { records: latencies.length * pageLength, recordsPerSecond: requestsPerSecond * pageLength };
}

function ourTarget({ url, headers, connection }: Child, query: string): Target {
  const bodies = Array.from({ length: ownQuestions }, (_, index) =>
    JSON.stringify({ query, variables: { connection, formula: String(index + 1), names: fieldNames } }),
  );
  return { url, headers, bodies };
}

async function fetchPage({ sandboxUrl, token }: Setup): Promise<WirePageOfContacts> {
  const response = await fetch(sandboxUrl + pagePath(null), {
    headers: { authorization: `Bearer ${token}` },
  });
  return (await response.json()) as WirePageOfContacts;
}
