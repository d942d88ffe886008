import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { setTimeout as sleep } from 'node:timers/promises';
import { createSandbox, type Sandbox } from '../../sandbox/sandbox.ts';
import { CallMeter } from '../../src/calendly/operation.ts';
import { decodePayload } from '../../src/calendly/payloads.ts';
import { readAllPages } from '../../src/calendly/pages.ts';
import type { WireRecord, WireTable } from '../../src/calendly/wire.ts';
import type { TestDatabase } from '../support/database.ts';
import { grantToken } from '../support/sandbox-grant.ts';
import { createBudgetDatabase, TestClient, type ClientOptions } from './client.ts';

const base = 'appABC123';
const contacts = 'tblDEF456';

let database: TestDatabase;
let sandbox: Sandbox;
let token: string;
let schema: WireTable[];

beforeAll(async () => {
  database = await createBudgetDatabase();
  sandbox = await createSandbox({ size: 'small' });
});
/** A fresh sandbox and budget, without the limit where a test is about something else. */
beforeEach(async () => {
  await control('POST', 'reset');
  await database.query('DELETE FROM rate_budgets');
  token = (await grantToken(sandbox.url)).accessToken;
  await control('POST', 'limits', { requestsPerSecond: 0 });
  schema = await withClient({ calls: 1_000 }, (client) => client.api(token).baseSchema(base));
  await control('DELETE', 'calls');
});
afterAll(async () => {
  await sandbox.close();
  await database.close();
});

async function control<T = unknown>(method: string, name: string, body?: unknown): Promise<T> {
  const init =
    body === undefined
      ? { method }
      : { method, body: JSON.stringify(body), headers: { 'content-type': 'application/json' } };
  const response = await fetch(`${sandbox.url}/_control/${name}`, init);
  expect(response.status).toBe(200);
  return (await response.json()) as T;
}

interface BaseCalls {
  total: number;
  highestInOneSecond: number;
  limited: number;
}

async function callsOfBase(): Promise<BaseCalls> {
  const { byBase } = await control<{ byBase: Record<string, BaseCalls> }>('GET', 'calls');
  return byBase[base] ?? { total: 0, highestInOneSecond: 0, limited: 0 };
}

async function withClient<T>(options: ClientOptions, act: (client: TestClient) => Promise<T>): Promise<T> {
  const client = new TestClient(database, sandbox.url, options);
  try {
    return await act(client);
  } finally {
    await client.close();
  }
}

const unlimited = { calls: 1_000 };

function fieldId(name: string): string {
  const field = schema
    .find((table) => table.id === contacts)
    ?.fields.find((candidate) => candidate.name === name);
  if (!field) throw new Error(`The Contacts table has no field ${name}`);
  return field.id;
}

/** Enough for an order to be kept: everything in pages of `pageSize`. */
function listAll(client: TestClient, pageSize?: number): Promise<WireRecord[]> {
  return readAllPages({
    keyOf: (record) => record.id,
    maxItems: 10_000,
    readPage: async (offset) => {
      const params = { offset, fields: [fieldId('Name')], ...(pageSize === undefined ? {} : { pageSize }) };
      const page = await client.api(token).listRecords(base, contacts, params);
      return { items: page.records, offset: page.offset };
    },
  });
}

describe('reading', () => {
  test('the account, every base over several pages, and the schema of one', async () => {
    await control('POST', 'limits', { basePageCap: 1 });
    await withClient(unlimited, async (client) => {
      const meter = new CallMeter();
      const api = client.api(token, { meter });
      expect(await api.whoAmI()).toMatchObject({ id: expect.stringMatching(/^usr/) });
      const bases = await api.listBases();
      expect(bases.map(({ id }) => id)).toContain(base);
      expect(meter.calls).toBe(1 + bases.length);
    });
    expect(schema.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['Contacts', 'Companies', 'Deals']),
    );
  });

  test('250 records by id cost three calls and come with the asked cells only', async () => {
    await withClient(unlimited, async (client) => {
      const ids = (await listAll(client)).map(({ id }) => id).slice(0, 250);
      expect(ids).toHaveLength(250);
      await control('DELETE', 'calls');
      const api = client.api(token);
      const chunks = [ids.slice(0, 100), ids.slice(100, 200), ids.slice(200)];
      const found = await Promise.all(
        chunks.map((chunk) => api.recordsByIds(base, contacts, chunk, [fieldId('Name')])),
      );
      expect((await callsOfBase()).total).toBe(3);
      expect(new Set(found.flat().map(({ id }) => id))).toEqual(new Set(ids));
      const cells = found.flat().flatMap((record) => Object.keys(record.fields));
      expect(new Set(cells)).toEqual(new Set([fieldId('Name')]));
    });
  });

  test('ids that do not exist are missing from the answer, and shorter pages are followed to the end', async () => {
    await withClient(unlimited, async (client) => {
      const ids = (await listAll(client)).map(({ id }) => id).slice(0, 25);
      await control('POST', 'limits', { pageCap: 10 });
      const found = await client
        .api(token)
        .recordsByIds(base, contacts, [...ids, ...ids, 'recDoesNotExist01']);
      expect(found.map(({ id }) => id).sort()).toEqual([...ids].sort());
      await expect(
        client.api(token).recordsByIds(
          base,
          contacts,
          Array.from({ length: 101 }, (_, i) => `rec${i}`),
        ),
      ).rejects.toMatchObject({ code: 'TOO_MANY' });
      expect(await client.api(token).recordsByIds(base, contacts, [])).toEqual([]);
    });
  });

  test('a listing whose iterator dies in the middle starts again and is complete', async () => {
    await withClient(unlimited, async (client) => {
      const whole = await listAll(client);
      await control('POST', 'limits', { iteratorLifetimeMs: 1_000 });
      let pages = 0;
      const read = await readAllPages({
        keyOf: (record: WireRecord) => record.id,
        maxItems: 10_000,
        readPage: async (offset) => {
          pages += 1;
          if (pages === 3) await control('POST', 'clock', { advanceMs: 5_000 });
          const page = await client
            .api(token)
            .listRecords(base, contacts, { offset, fields: [fieldId('Name')] });
          return { items: page.records, offset: page.offset };
        },
      });
      expect(read.map(({ id }) => id).sort()).toEqual(whole.map(({ id }) => id).sort());
      expect(pages).toBe(2 + 1 + Math.ceil(whole.length / 100));
    });
  });

  test('an iterator that always dies ends in CURSOR_EXPIRED instead of a loop', async () => {
    await withClient(unlimited, async (client) => {
      let pages = 0;
      const reading = readAllPages({
        keyOf: (record: WireRecord) => record.id,
        maxItems: 10_000,
        readPage: async (offset) => {
          pages += 1;
          if (offset !== null) await control('POST', 'clock', { advanceMs: 3_600_000 });
          if (offset !== null) token = (await grantToken(sandbox.url)).accessToken;
          const page = await client.api(token).listRecords(base, contacts, { offset });
          return { items: page.records, offset: page.offset };
        },
      });
      await expect(reading).rejects.toMatchObject({ code: 'CURSOR_EXPIRED' });
      expect(pages).toBe(8);
    });
  });

  test('a hostile text in a formula finds its record and no other', async () => {
    const { stringLiteral, fieldReference } = await import('../../src/calendly/formula.ts');
    await withClient(unlimited, async (client) => {
      const api = client.api(token);
      const name = `O'Hara \\ "x"), TRUE(), ('`;
      const {
        records: [created],
      } = await api.createRecords(base, contacts, [{ fields: { [fieldId('Name')]: name } }]);
      const filterByFormula = `${fieldReference(fieldId('Name'))}=${stringLiteral(name)}`;
      const { records } = await api.listRecords(base, contacts, { filterByFormula });
      expect(records.map(({ id }) => id)).toEqual([created?.id]);
    });
  });

  test('a formula, a table and a base that are wrong are told apart', async () => {
    await withClient(unlimited, async (client) => {
      const api = client.api(token);
      await expect(api.listRecords(base, contacts, { filterByFormula: 'NOPE(' })).rejects.toMatchObject({
        code: 'FORMULA_INVALID',
      });
      await expect(api.listRecords(base, 'tblMissing', {})).rejects.toMatchObject({
        code: expect.stringMatching(/UPSTREAM_FORBIDDEN|TABLE_NOT_FOUND/),
      });
      await expect(api.baseSchema('appMissing')).rejects.toMatchObject({
        code: expect.stringMatching(/UPSTREAM_FORBIDDEN|BASE_NOT_FOUND/),
      });
    });
  });
});

describe('writing', () => {
  test('records are created, changed, replaced, matched and deleted', async () => {
    const [name, email] = [fieldId('Name'), fieldId('Email')];
    await withClient(unlimited, async (client) => {
      const api = client.api(token);
      const {
        records: [first, second],
      } = await api.createRecords(base, contacts, [
        { fields: { [name]: 'A', [email]: 'a@example.com' } },
        { fields: { [name]: 'B' } },
      ]);
      const ids = [first?.id ?? '', second?.id ?? ''];
      const {
        records: [patched],
      } = await api.updateRecords(base, contacts, [{ id: ids[0] ?? '', fields: { [name]: 'C' } }]);
      expect(patched?.fields).toMatchObject({ [name]: 'C', [email]: 'a@example.com' });
      const {
        records: [replaced],
      } = await api.updateRecords(base, contacts, [{ id: ids[0] ?? '', fields: { [name]: 'D' } }], {
        replace: true,
      });
      expect(replaced?.fields).not.toHaveProperty(email);
      const upserted = await api.upsertRecords(
        base,
        contacts,
        [{ fields: { [name]: 'D', [email]: 'd@example.com' } }, { fields: { [name]: 'Somebody new' } }],
        { fieldsToMergeOn: [name] },
      );
      expect(upserted).toMatchObject({
        updatedRecords: [ids[0]],
        createdRecords: [expect.stringMatching(/^rec/)],
      });
      expect(await api.deleteRecords(base, contacts, ids)).toEqual(ids);
      expect(await api.recordsByIds(base, contacts, ids)).toEqual([]);
    });
  });

  test('after an answer lost behind the work, an update is done once more and a create is not', async () => {
    const name = fieldId('Name');
    await withClient(unlimited, async (client) => {
      const api = client.api(token);
      const {
        records: [record],
      } = await api.createRecords(base, contacts, [{ fields: { [name]: 'before' } }]);
      const match = { path: `/v0/${base}/${contacts}` };
      await control('POST', 'faults', {
        match: { ...match, method: 'PATCH' },
        times: 1,
        kind: 'reset',
        effect: 'after',
      });
      await control('POST', 'faults', {
        match: { ...match, method: 'POST' },
        times: 1,
        kind: 'reset',
        effect: 'after',
      });
      await expect(
        api.updateRecords(base, contacts, [{ id: record?.id ?? '', fields: { [name]: 'after' } }]),
      ).resolves.toMatchObject({ records: [expect.anything()] });
      await expect(
        api.createRecords(base, contacts, [{ fields: { [name]: 'only once' } }]),
      ).rejects.toMatchObject({
        details: { outcome: 'unknown' },
      });
      const { records } = await api.listRecords(base, contacts, { filterByFormula: "{Name}='only once'" });
      expect(records).toHaveLength(1);
    });
  });

  test('a delete whose answer was lost is a success', async () => {
    await withClient(unlimited, async (client) => {
      const ids = (await listAll(client)).slice(0, 3).map(({ id }) => id);
      await control('POST', 'faults', {
        match: { method: 'DELETE' },
        times: 1,
        kind: 'reset',
        effect: 'after',
      });
      expect(await client.api(token).deleteRecords(base, contacts, ids)).toEqual(ids);
    });
  });

  test('a webhook is created, listed, refreshed, read and deleted', async () => {
    const name = fieldId('Name');
    await withClient(unlimited, async (client) => {
      const api = client.api(token);
      const webhook = await api.createWebhook(base, {
        specification: {
          options: { filters: { dataTypes: ['tableData'] }, includes: { includePreviousCellValues: true } },
        },
      });
      expect((await api.listWebhooks(base)).map(({ id }) => id)).toEqual([webhook.id]);
      expect((await api.refreshWebhook(base, webhook.id)).expirationTime).toMatch(/Z$/);
      await api.enableNotifications(base, webhook.id, false);
      const {
        records: [record],
      } = await api.createRecords(base, contacts, [{ fields: { [name]: 'Heard of' } }]);
      const page = await api.listPayloads(base, webhook.id, 1);
      expect(page).toMatchObject({ cursor: 2, mightHaveMore: false });
      const changes = page.payloads.flatMap((payload) => decodePayload(payload).changes);
      expect(changes).toContainEqual(
        expect.objectContaining({
          kind: 'created',
          tableId: contacts,
          recordId: record?.id,
          current: expect.objectContaining({ [name]: 'Heard of' }),
        }),
      );
      await api.deleteWebhook(base, webhook.id);
      expect(await api.listWebhooks(base)).toEqual([]);
      await expect(api.listPayloads(base, webhook.id, 1)).rejects.toMatchObject({
        code: expect.stringMatching(/WEBHOOK_NOT_FOUND|UPSTREAM_FORBIDDEN/),
      });
    });
  });
});

describe('the allowance', () => {
  test('bursts from idle, by two instances together, never exceed it as the upstream counts, and use nearly all of it', async () => {
    const penaltyMs = 1_100;
    await control('POST', 'limits', { requestsPerSecond: 5, penaltyMs });
    await withClient({ penaltyMs }, (one) =>
      withClient({ penaltyMs }, async (two) => {
        // Sandbox and clients share a process here. When it stalls for longer than the 25 ms that the window allows for
        // the way, arrivals move together and prove nothing: the burst is sent again.
        for (let attempt = 1; ; attempt += 1) {
          await sleep(1_300);
          await control('DELETE', 'calls');
          const startedAt = performance.now();
          await Promise.all(
            Array.from({ length: 20 }, (_, i) =>
              (i % 2 === 0 ? one : two).api(token, { callerId: `caller${i}` }).baseSchema(base),
            ),
          );
          const tookMs = performance.now() - startedAt;
          const seen = await callsOfBase();
          if (seen.limited > 0 && attempt < 3) continue;
          expect(seen).toMatchObject({ total: 20, highestInOneSecond: 5, limited: 0 });
          expect(tookMs).toBeGreaterThan(3_000);
          expect(tookMs).toBeLessThan((3 * 1_025) / 0.95 + 300);
          return;
        }
      }),
    );
  });

  test('the penalty that somebody else has caused rests the base in all instances, and nobody gets an error', async () => {
    const penaltyMs = 1_500;
    await withClient({ penaltyMs }, (one) =>
      withClient({ penaltyMs }, async (two) => {
        await control('POST', 'limits', { requestsPerSecond: 5, penaltyMs });
        const headers = { authorization: `Bearer ${token}` };
        const strangers = Array.from({ length: 6 }, () =>
          fetch(`${sandbox.url}/v0/meta/bases/${base}/tables`, { headers }),
        );
        expect((await Promise.all(strangers)).some(({ status }) => status === 429)).toBe(true);
        await control('DELETE', 'calls');
        await one.api(token).baseSchema(base);
        await Promise.all([one, two, one, two].map((client) => client.api(token).baseSchema(base)));
        expect(await callsOfBase()).toMatchObject({ total: 6, limited: 1 });
      }),
    );
  });

  test('of a dead upstream a base tries once a second, another base goes on, and work resumes within two seconds', async () => {
    await withClient({}, async (client) => {
      const path = `/v0/meta/bases/${base}/tables`;
      const fault = await control<{ id: string }>('POST', 'faults', {
        match: { path },
        times: null,
        kind: 'reset',
      });
      const waiting = Array.from({ length: 10 }, () => client.api(token).baseSchema(base));
      await sleep(1_500);
      const before = (await callsOfBase()).total;
      const startedAt = performance.now();
      expect(await client.api(token).listBases()).toContainEqual(expect.objectContaining({ id: base }));
      expect(performance.now() - startedAt).toBeLessThan(500);
      await sleep(3_000);
      const probes = (await callsOfBase()).total - before;
      expect(probes).toBeGreaterThanOrEqual(2);
      expect(probes).toBeLessThanOrEqual(4);

      const revivedAt = performance.now();
      await control('DELETE', `faults?id=${fault.id}`);
      await Promise.race(waiting);
      expect(performance.now() - revivedAt).toBeLessThan(2_000);
      await expect(Promise.all(waiting)).resolves.toHaveLength(10);
    });
  });
});
