import { randomBytes } from 'node:crypto';
import { loadavg } from 'node:os';
import { setTimeout } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { fewestCalls } from '../test/records/fewest-calls.ts';
import { grantToken } from '../test/support/sandbox-grant.ts';
import { airtableTable, turns, ways, type Way } from './airtable-ways.ts';
import { startChild, type Child } from './child.ts';
import { baseId } from './contacts.ts';
import { leaveServerCore } from './cores.ts';
import { readCrm, type Crm } from './crm.ts';
import { startDatabase } from './database.ts';
import { jobsOf, type Found, type Job } from './jobs.ts';
import { columns, machine, thousands } from './report.ts';
import { throughput } from './throughput.ts';
import type { Setup } from './servers/serve.ts';

export const airtableClient = 'airtable-client';
export const explainAirtableClient =
  "whole jobs next to the upstream's official client, under its real limit";

/** After this long a way has shown what it is. */
const patienceMs = 45_000;

type Stops = (() => Promise<void>)[];
/** @returns the setup of a server of ours against the sandbox at `sandboxUrl` */
type SetupFor = (sandboxUrl: string, limited: boolean) => Promise<Setup>;

interface Outcome {
  label: string;
  seconds: number;
  /** Whether it ended by itself within the patience. */
  done: boolean;
  found: number;
  calls: number;
  refused: number;
  highestInOneSecond: number;
}

/** Not a load but jobs: each is done once by every way, each way against a sandbox of its own, which starts for it. */
export async function benchAirtableClient(): Promise<void> {
  leaveServerCore();
  console.log(`${machine()} Load average ${loadavg()[0]?.toFixed(1)} at the start.`);
  const stops: Stops = [];
  try {
    const database = await startDatabase();
    stops.push(() => database.stop());
    const secrets = {
      databaseUrl: database.url,
      adminKey: randomBytes(32).toString('base64url'),
      encryptionKeys: `bench:${randomBytes(32).toString('base64')}`,
    };
    const setupFor: SetupFor = async (sandboxUrl, limited) => {
      const { accessToken: token } = await grantToken(sandboxUrl);
      return { ...secrets, sandboxUrl, limited, token, page: { records: [] } };
    };
    const crm = await within((own) => readData(own));
    for (const [index, job] of jobsOf(crm).entries()) {
      const outcomes = await within((own) => race(job, index, crm, setupFor, own));
      console.log(`\n## ${job.name}\n${job.explanation.join('\n')}\n\n${report(job, outcomes)}`);
    }
    console.log(await within((own) => throughput(setupFor, own)));
  } finally {
    await stopAll(stops);
  }
}

async function race(job: Job, index: number, crm: Crm, setupFor: SetupFor, stops: Stops): Promise<Outcome[]> {
  const starts: (() => Promise<Outcome>)[] = [];
  for (const way of ways) {
    const sandbox = await fullSandbox(stops);
    const { accessToken } = await grantToken(sandbox.url);
    starts.push(() => goTheirWay(way, index, job, crm, sandbox, accessToken));
  }
  const theirs = await Promise.all(starts.map((start) => start()));
  // Their waiting costs nothing, but what a bad moment of a sandbox costs is 30 s; so none shares the core with ours.
  await stopAll(stops.splice(0));
  const sandbox = await fullSandbox(stops);
  const server = await startChild('ours.ts', await setupFor(sandbox.url, true), { pinned: true });
  stops.push(() => server.stop());
  const ours = await timed('ours', job, sandbox, (found, signal) => goOurWay(job, server, found, signal));
  return [...theirs, ours];
}

function goTheirWay(
  way: Way,
  index: number,
  job: Job,
  crm: Crm,
  sandbox: Child,
  token: string,
): Promise<Outcome> {
  const table = airtableTable(sandbox.url, token);
  return timed(way.label, job, sandbox, (found, signal) =>
    way.jobs[index]!({ table, crm, found, turn: turns(way.paced, signal) }),
  );
}

/** One request; a query that the rate limit refuses after all is asked again when the answer says, as our users do. */
async function goOurWay(job: Job, server: Child, found: Found, signal: AbortSignal): Promise<void> {
  for (;;) {
    const response = await fetch(server.url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...server.headers },
      body: JSON.stringify({
        query: job.document,
        variables: { ...job.variables, connection: server.connection },
      }),
      signal,
    });
    const { data, errors } = (await response.json()) as {
      data: Parameters<Job['read']>[0];
      errors?: { message: string; extensions: { retryAfterMs?: number } }[];
    };
    const [error] = errors ?? [];
    if (!error) return job.read(data, found);
    const { retryAfterMs } = error.extensions;
    if (retryAfterMs === undefined) throw new Error(`${job.name}: ours answered ${error.message}`);
    await setTimeout(retryAfterMs, undefined, { signal });
  }
}

/** @throws Error when a way ends by itself with another result than it should have */
async function timed(
  label: string,
  job: Job,
  sandbox: Child,
  work: (found: Found, signal: AbortSignal) => Promise<void>,
): Promise<Outcome> {
  const found: Found = new Map();
  const patience = new AbortController();
  const startedAt = performance.now();
  const givenUp = setTimeout(patienceMs, false, { signal: patience.signal }).catch(() => false);
  // What a way does when nobody waits for it any more, such as asking a sandbox that is gone, is of no interest.
  const done = work(found, patience.signal).then(
    () => true,
    (error: unknown) => {
      if (!patience.signal.aborted) throw error;
      return false;
    },
  );
  const ended = await Promise.race([done, givenUp]);
  const seconds = (performance.now() - startedAt) / 1_000;
  patience.abort();
  if (ended && !isDeepStrictEqual(found, job.expected))
    throw new Error(`${job.name}: ${label} found ${found.size} of ${job.expected.size}, or others`);
  const size = found.size;
  const { total, limited, highestInOneSecond } = await callsOf(sandbox.url);
  return { label, seconds, done: ended, found: size, calls: total, refused: limited, highestInOneSecond };
}

function report(job: Job, outcomes: Outcome[]): string {
  const fewest = fewestCalls({ ...job.needs, document: job.document }, null);
  const { getBaseSchema = 0, ...others } = fewest;
  const work = Object.values(others).reduce((sum, count) => sum + count, 0);
  const head = ['', 'seconds', 'results', 'calls', 'refused (429)', 'most in one second'];
  const rows = outcomes.map(({ label, seconds, done, found, calls, refused, highestInOneSecond }) => [
    label,
    done ? seconds.toFixed(1) : `> ${patienceMs / 1_000}`,
    `${thousands(found)} of ${thousands(job.expected.size)}`,
    thousands(calls),
    thousands(refused),
    String(highestInOneSecond),
  ]);
  return `${columns(head, rows)}\n\nFewest calls possible: ${work}, and ${getBaseSchema} for the structure of the base, which ours did not know yet.`;
}

async function fullSandbox(stops: Stops): Promise<Child> {
  const sandbox = await startChild('full-sandbox.ts', {}, { pinned: false });
  stops.push(() => sandbox.stop());
  return sandbox;
}

async function readData(stops: Stops): Promise<Crm> {
  const sandbox = await fullSandbox(stops);
  const lifted = await fetch(`${sandbox.url}/_control/limits`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ requestsPerSecond: 0 }),
  });
  if (!lifted.ok) throw new Error(`The limit could not be lifted: ${await lifted.text()}`);
  const { accessToken } = await grantToken(sandbox.url);
  return readCrm(sandbox.url, accessToken);
}

interface BaseCalls {
  total: number;
  limited: number;
  highestInOneSecond: number;
}

async function callsOf(sandboxUrl: string): Promise<BaseCalls> {
  const response = await fetch(`${sandboxUrl}/_control/calls`);
  const { byBase } = (await response.json()) as { byBase: Record<string, BaseCalls> };
  return byBase[baseId] ?? { total: 0, limited: 0, highestInOneSecond: 0 };
}

/** Does `work` and stops what it started. */
async function within<Result>(work: (stops: Stops) => Promise<Result>): Promise<Result> {
  const stops: Stops = [];
  try {
    return await work(stops);
  } finally {
    await stopAll(stops);
  }
}

async function stopAll(stops: Stops): Promise<void> {
  for (const stop of stops.reverse()) await stop();
}
