import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { setTimeout as delay } from 'node:timers/promises';
import { control, startTestApp, type GraphQLAnswer, type TestApp, type UntypedData } from '../support/app.ts';
import { isLongRun, timeLimitMs } from '../support/repeats.ts';
import { allRecords, clearFaults, countCalls, crm, type KnownRecord } from './crm.ts';

/** What is known of bases is believed for five minutes; each cold read comes after a longer time than that. */
const forgottenAfterMs = 6 * 60_000;
const penaltyMs = 20;
/** How long a read may take whose call is never answered, and how much later it may be told so. */
const silentDeadlineMs = isLongRun ? 150 : 800;
const graceMs = isLongRun ? 250 : 1_500;

let app: TestApp;
let connection: number;
let contacts: KnownRecord[];
let passedMs = 0;
beforeAll(async () => {
  app = await startTestApp({
    clock: { now: () => Date.now() + passedMs },
    config: { rateLimit: { calls: 1_000, windowMs: 100, penaltyMs } },
  });
  connection = await app.connect();
  contacts = await allRecords(app, connection, 'Contacts');
});
afterEach(() => clearFaults(app));
afterAll(() => app.close());

interface Read {
  document: string;
  isCold?: boolean;
  variables?: () => object;
}
const inBase = (fields: string) => `base(connection: $c, baseId: "${crm}") { ${fields} }`;
const reads: Record<string, Read> = {
  'a listing over three pages': {
    document: `query ($c: Int!) { ${inBase(`table(id: "Contacts") { records(first: 250) { nodes { id name: text(field: "Name") } pageInfo { hasNextPage } } }`)} }`,
  },
  'three hundreds of records by id': {
    document: `query ($c: Int!, $ids: [String!]!) { ${inBase(`table(id: "Contacts") { recordsById(ids: $ids) { id name: text(field: "Name") } }`)} }`,
    variables: () => ({ ids: contacts.map(({ id }) => id) }),
  },
  'links over three levels': {
    document: `query ($c: Int!, $ids: [String!]!) { ${inBase(`table(id: "Contacts") { recordsById(ids: $ids) { id linked(field: "Company", first: 2) { id name: text(field: "Name") linked(field: "Deals", first: 5) { id name: text(field: "Name") } } } }`)} }`,
    variables: () => ({ ids: contacts.slice(0, 20).map(({ id }) => id) }),
  },
  'bases, structure and records of a base that is not known yet': {
    document: `query ($c: Int!) { connections { ... on CalendlyConnection { bases(first: 5) { nodes { id name } } } } ${inBase(`name tables { id } table(id: "Contacts") { records(first: 3) { nodes { id name: text(field: "Name") } } }`)} }`,
    isCold: true,
  },
};

const unavailable = ['UPSTREAM_UNAVAILABLE'];
const unreadable = ['UPSTREAM_UNREADABLE'];
/**
 * What the sandbox does, and the codes that may come of it; none where the call is sent again and all is well. Those that
 * take time come at one call of each read among all other tests, at every call in the long run.
 */
const faults: Record<string, { fault: object; codes: string[]; takesTime?: boolean; deadlineMs?: number }> = {
  429: { fault: { kind: 'status', status: 429 }, codes: [], takesTime: true },
  500: { fault: { kind: 'status', status: 500 }, codes: unavailable },
  503: { fault: { kind: 'status', status: 503 }, codes: [], takesTime: true },
  timeout: {
    fault: { kind: 'timeout' },
    codes: [...unavailable, 'DEADLINE_EXCEEDED'],
    takesTime: true,
    deadlineMs: silentDeadlineMs,
  },
  reset: { fault: { kind: 'reset' }, codes: [], takesTime: true },
  'malformed JSON': { fault: { kind: 'malformed' }, codes: unreadable },
  'a page of HTML': {
    fault: { kind: 'status', status: 200, body: '<html>Hello</html>' },
    codes: unreadable,
  },
};

async function run({ document, isCold, variables }: Read, deadlineMs = 10_000): Promise<GraphQLAnswer> {
  if (isCold) passedMs += forgottenAfterMs;
  return app.graphql(
    document,
    { c: connection, ...variables?.() },
    { headers: { 'x-deadline-ms': String(deadlineMs) } },
  );
}

/** Calls of reads. The jumps of the clock make tokens be renewed, which is none. */
async function arrived(): Promise<number> {
  const { byEndpoint } = await control<{ byEndpoint: Record<string, number> }>(app.sandbox.url, 'calls');
  return Object.entries(byEndpoint).reduce((sum, [name, count]) => (name === 'token' ? sum : sum + count), 0);
}

/** Nothing but what is right, and null where something failed. */
function expectPartOf(part: UntypedData, whole: UntypedData): void {
  if (part === null) return;
  if (Array.isArray(whole)) {
    expect(part).toHaveLength(whole.length);
    whole.forEach((item, index) => expectPartOf(part[index], item));
  } else if (typeof whole === 'object' && whole !== null) {
    expect(Object.keys(part)).toEqual(Object.keys(whole));
    for (const key of Object.keys(whole)) expectPartOf(part[key], whole[key]);
  } else expect(part).toEqual(whole);
}

describe.each(Object.entries(reads))('%s', (_, read) => {
  let whole: GraphQLAnswer;
  let turn = 0;
  let calls: number;
  beforeEach(async () => {
    if (whole) return;
    const counted = await countCalls(app, () => run(read));
    whole = counted.result;
    expect(whole.errors).toBeUndefined();
    calls = whole.extensions!.upstream!.calls;
    expect(calls).toBeGreaterThan(1);
  });

  test.each(Object.entries(faults))(
    'with %s in place of any one answer: right or named, never doubled, in time',
    async (name, { fault, codes, takesTime, deadlineMs }) => {
      const every = Array.from({ length: calls }, (_, index) => index);
      const some = takesTime && !isLongRun ? [turn++ % calls] : every;
      let sentInAll = 0;
      let mayStillCome = 0;
      await countCalls(app, () => Promise.resolve());
      for (const after of some) {
        // A read has no effect; all the same its iterator and its log are upstream, so both come in turn.
        for (const effect of isLongRun ? ['before', 'after'] : [after % 2 === 0 ? 'before' : 'after']) {
          await control(app.sandbox.url, 'faults', {
            match: { path: '/v0/**' },
            after,
            times: 1,
            effect,
            ...fault,
          });
          const startedAt = performance.now();
          const result = await run(read, deadlineMs);
          const tookMs = performance.now() - startedAt;
          await clearFaults(app);

          const where = { fault: name, call: after, effect };
          const told = new Set(result.errors?.map(({ extensions }) => extensions.code));
          expect({ where, unexpected: [...told].filter((code) => !codes.includes(code)) }).toEqual({
            where,
            unexpected: [],
          });
          if (codes.length > 0) expect({ where, told: told.size }).not.toEqual({ where, told: 0 });
          else expect({ where, data: result.data }).toEqual({ where, data: whole.data });
          expectPartOf(result.data, whole.data);
          const { calls: sent, retries } = result.extensions!.upstream!;
          expect({ where, retries }).toEqual({ where, retries: sent > calls ? 1 : 0 });
          sentInAll += sent;
          expect(sent).toBeLessThanOrEqual(calls + 1);
          expect(tookMs).toBeLessThan((deadlineMs ?? 5_000) + graceMs);
          if (codes.length > 0) {
            // An answer does not wait for the other calls of what has failed: some are on their way, and those of a read
            // that is over may have ended before they got there.
            while (deadlineMs === undefined && (await arrived()) < sentInAll) await delay(5);
            mayStillCome += calls + 1 - sent;
            expect(await arrived()).toBeLessThanOrEqual(sentInAll + mayStillCome);
          } else expect(await arrived()).toBe(sentInAll);
        }
      }
      // Nothing of it is left behind.
      expect((await run(read)).data).toEqual(whole.data);
    },
    timeLimitMs,
  );
});
