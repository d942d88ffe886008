import { parseArgs } from 'node:util';
import { airtableClient, benchAirtableClient, explainAirtableClient } from './airtable-client.ts';
import { checkAnswer, checkLists } from './answers.ts';
import { benchChangeLog, changeLog, explainChangeLog } from './change-log.ts';
import type { Child } from './child.ts';
import { benchCopy, copy, explainCopy } from './copy.ts';
import { fillConnections, listLength } from './connections.ts';
import { pagePath, type WirePageOfContacts } from './contacts.ts';
import { benchFanout, explainFanout, fanout } from './fanout.ts';
import { load, type Round, type Target } from './load.ts';
import { barReport, cpuReport, lineOf, table, type Line } from './report.ts';
import { benchResume, explainResume, resume } from './resume.ts';
import { scenarios, serverNames, type Contestant, type Scenario, type ServerName } from './scenarios.ts';
import { onStage, type Stage } from './stage.ts';
import { benchStorm, explainStorm, storm } from './storm.ts';
import { benchTriggers, explainTriggers, triggers } from './triggers.ts';

const connections = 50;
/** Code is compiled for speed after some thousand calls, which a slow server needs longer for. */
const warmUp = { requests: 3_000, sliceMs: 500, maxMs: 3_000 };
const rounds = 5;
const roundMs = 600;

/** Scenarios that are no load of requests: each runs alone, when it is named. */
const alone = [
  { name: airtableClient, explanation: explainAirtableClient, run: benchAirtableClient },
  { name: fanout, explanation: explainFanout, run: benchFanout },
  { name: changeLog, explanation: explainChangeLog, run: benchChangeLog },
  { name: resume, explanation: explainResume, run: benchResume },
  { name: storm, explanation: explainStorm, run: benchStorm },
  { name: triggers, explanation: explainTriggers, run: benchTriggers },
  { name: copy, explanation: explainCopy, run: benchCopy },
];

const help = `Usage: npm run bench -- [scenario...] [--profile <folder>]

Scenarios: ${scenarios.map(({ name }) => name).join(', ')}; all by default.
Alone: ${alone.map(({ name, explanation }) => `${name} (${explanation})`).join('; ')}.
  --profile <folder>   measure ours alone, and leave a CPU profile of each of its processes there
`;

/** A contestant with its server running. */
interface Entry {
  contestant: Contestant;
  child: Child;
  target: Target;
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { profile: { type: 'string' }, help: { type: 'boolean', short: 'h' } },
  });
  const single = alone.find(({ name }) => positionals.length === 1 && positionals[0] === name);
  if (single && !values.help) return single.run(values.profile ?? null);
  const unknown = positionals.filter((name) => !scenarios.some((scenario) => scenario.name === name));
  if (values.help || unknown.length > 0) {
    if (unknown.length > 0) console.error(`There is no scenario ${unknown.join(', ')}.\n`);
    console.log(help);
    process.exitCode = unknown.length > 0 ? 2 : 0;
    return;
  }
  const chosen = scenarios
    .filter(({ name }) => positionals.length === 0 || positionals.includes(name))
    .map((scenario) => (values.profile === undefined ? scenario : withoutPeers(scenario)));

  await onStage((stage) => run(chosen, stage), values.profile ?? null, 'sandbox.ts');
}

async function run(chosen: Scenario[], { databaseUrl, sandbox, token, start }: Stage): Promise<void> {
  console.log(
    `${connections} connections, one request at a time on each; median of ${rounds} interleaved rounds of ${roundMs / 1_000} s.`,
  );
  const page = await fetchPage(sandbox.url, token);
  const children = new Map<ServerName, Child>();
  const wanted = new Set(chosen.flatMap(({ contestants }) => contestants.map(({ server }) => server)));
  for (const name of serverNames.filter((server) => wanted.has(server)))
    children.set(name, await start(`${name}.ts`, { page }));

  const measured = new Map<string, Line[]>();
  for (const scenario of chosen) {
    const entries = scenario.contestants.map((contestant) =>
      entryOf(contestant, children.get(contestant.server)!),
    );
    if (scenario.name === 'connections') {
      await fillConnections(databaseUrl);
      const servers = entries.map(({ contestant, target }) => ({ label: contestant.label, target }));
      await checkLists(servers, listLength);
    }
    const lines = await measure(scenario, entries, page);
    measured.set(scenario.name, lines);
    console.log(
      `\n## ${scenario.name}\n${scenario.explanation.join('\n')}\n\n${table(lines)}\n${cpuReport(lines)}`,
    );
    const busy = lines.filter(({ loadShare }) => loadShare > 0.9).map(({ label }) => label);
    if (busy.length > 0)
      console.log(`The load itself had no time left against ${busy.join(', ')}: faster than shown here.`);
  }
  console.log(`\n## Bars\n${barReport(measured)}`);
}

function withoutPeers(scenario: Scenario): Scenario {
  return { ...scenario, contestants: scenario.contestants.filter(({ server }) => server.startsWith('ours')) };
}

function entryOf(contestant: Contestant, child: Child): Entry {
  const bodies = Array.from({ length: contestant.questions }, (_, index) =>
    JSON.stringify(contestant.body(index + 1, child.connection ?? 0)),
  );
  return { contestant, child, target: { url: child.url, headers: child.headers, bodies } };
}

/** Every server in turn, round after round, so that a noisy minute of the machine hits all of them. */
async function measure(scenario: Scenario, entries: Entry[], page: WirePageOfContacts): Promise<Line[]> {
  const results = entries.map((entry) => ({ entry, rounds: [] as Round[], cpuSeconds: 0 }));
  for (const { contestant, target } of entries) {
    if (scenario.name !== 'connections')
      await checkAnswer(contestant.label, target, scenario.name === 'hello' ? null : page);
    await warm(target);
  }
  for (let round = 0; round < rounds; round += 1) {
    for (const result of results) {
      const { child, target } = result.entry;
      const cpuBefore = await child.cpuSeconds();
      result.rounds.push(await load(target, connections, roundMs));
      result.cpuSeconds += ((await child.cpuSeconds()) ?? Number.NaN) - (cpuBefore ?? 0);
    }
  }
  return results.map(({ entry, rounds: all, cpuSeconds }) =>
    lineOf(entry.contestant.label, all, Number.isNaN(cpuSeconds) ? null : cpuSeconds),
  );
}

async function warm(target: Target): Promise<void> {
  let requests = 0;
  for (let ms = 0; ms < warmUp.maxMs && requests < warmUp.requests; ms += warmUp.sliceMs) {
    requests += (await load(target, connections, warmUp.sliceMs)).latencies.length;
  }
}

async function fetchPage(sandboxUrl: string, token: string): Promise<WirePageOfContacts> {
  const response = await fetch(sandboxUrl + pagePath(null), {
    headers: { authorization: `Bearer ${token}` },
  });
  if (!response.ok) throw new Error(`The sandbox answered ${response.status}: ${await response.text()}`);
  return (await response.json()) as WirePageOfContacts;
}

await main();
