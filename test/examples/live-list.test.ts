import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import getPort from 'get-port';
import { isDeepStrictEqual } from 'node:util';
import type { Browser } from 'playwright-core';
import { until } from '../changes/subscriber.ts';
import { addContacts, edit, ledger, ledgerEnd } from '../changes/upstream-edits.ts';
import { startTestApp, type GraphQLAnswer, type TestApp } from '../support/app.ts';
import { chromiumPath, launchBrowser } from '../support/browser.ts';
import { CuttableProxy } from '../support/cuttable-proxy.ts';
import { startPage, startProgram, type LiveList } from './live-list-clients.ts';

if (!chromiumPath)
  process.stderr.write(
    'No Chromium here: the page of the examples is SKIPPED. Set CHROMIUM_PATH to run it.\n',
  );

const cuts = 10;
const timeoutMs = 90_000;

interface RecordsPage {
  base: {
    table: {
      records: {
        nodes: { id: string; name: string | null }[];
        pageInfo: { hasNextPage: boolean; endCursor: string | null };
      };
    };
  };
}

/** Both follow the same table at the same time, behind the same broken line. */
describe('the programs in examples/', () => {
  let app: TestApp;
  let proxy: CuttableProxy;
  let browser: Browser | null = null;
  let before: number;
  const lists: LiveList[] = [];

  beforeAll(async () => {
    const port = await getPort();
    app = await startTestApp({ config: { allowedOrigins: [`http://localhost:${port}`] } });
    expect(await app.connect()).toBe(1);
    proxy = await CuttableProxy.before(app.server.port);
    lists.push(startProgram(proxy.url, app.adminKey));
    if (chromiumPath) {
      browser = await launchBrowser();
      lists.push(await startPage(browser, port, { url: proxy.url, key: app.adminKey }));
    }
    await until(() => lists.every((list) => list.timesListed() === 1), 30_000);
    before = await ledgerEnd(app);
  }, timeoutMs);

  afterAll(async () => {
    await Promise.all(lists.map((list) => list.stop()));
    await browser?.close();
    await proxy?.close();
    await app?.close();
  }, timeoutMs);

  /** @returns `id name` of all contacts, as they are upstream */
  async function contacts(): Promise<string[]> {
    const found: string[] = [];
    for (let after: string | null = null, hasMore = true; hasMore;) {
      const answer: GraphQLAnswer<RecordsPage> = await app.graphql<RecordsPage>(
        `query ($after: String) { base(connection: 1, baseId: "appABC123") { table(id: "Contacts") {
          records(first: 100, after: $after) { nodes { id name: text(field: "Name") } pageInfo { hasNextPage endCursor } } } } }`,
        { after },
      );
      const { nodes, pageInfo } = answer.data!.base.table.records;
      found.push(...nodes.map(({ id, name }) => `${id} ${name ?? ''}`));
      after = pageInfo.endCursor;
      hasMore = pageInfo.hasNextPage;
    }
    return found.sort();
  }

  /** What was told may not be shown yet: the list may be read at the moment. */
  async function expectShown(list: LiveList, truth: string[]): Promise<void> {
    await until(async () => isDeepStrictEqual(await list.shown(), truth)).catch(() => undefined);
    expect(await list.shown()).toEqual(truth);
  }

  const lastLine = async (): Promise<string | undefined> => (await ledger(app, before)).at(-1);
  const allTold = async (): Promise<boolean> => {
    const last = await lastLine();
    return lists.every((list) => list.told().at(-1) === last);
  };

  test(
    'keep their list through ten cuts, each change told once and in order, without reading it again',
    async () => {
      for (let cut = 1; cut <= cuts; cut += 1) {
        const [kept = '', gone = ''] = await addContacts(app, 2);
        proxy.cut();
        await edit(app, { update: [{ id: kept, fields: { Name: `Renamed in cut ${cut}` } }] });
        await edit(app, { destroy: [gone] });
        proxy.restore();
        await edit(app, { update: [{ id: kept, fields: { Name: `Renamed after cut ${cut}` } }] });
        await until(allTold, 30_000);
      }
      const expected = await ledger(app, before);
      expect(expected).toHaveLength(5 * cuts);
      for (const list of lists) {
        expect(list.told()).toEqual(expected);
        expect(list.timesListed()).toBe(1);
      }
      const truth = await contacts();
      for (const list of lists) await expectShown(list, truth);
    },
    timeoutMs,
  );

  test(
    'read the list again when changes are lost, and go on',
    async () => {
      proxy.cut();
      const [lost = ''] = await addContacts(app, 1);
      await until(async () => {
        const found = await app.app.database.query<unknown[]>('SELECT FROM changes WHERE record_id = $1', [
          lost,
        ]);
        return found.length === 1;
      });
      expect(await app.app.changeLog.prune(0)).toBeGreaterThan(0);
      proxy.restore();
      await addContacts(app, 1);
      await until(allTold, 30_000);
      const truth = await contacts();
      expect(truth.some((line) => line.startsWith(lost))).toBe(true);
      for (const list of lists) {
        expect(list.told()).not.toContain(`created ${lost}`);
        await expectShown(list, truth);
      }
    },
    timeoutMs,
  );
});
