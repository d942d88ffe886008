import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Browser, Page } from 'playwright-core';
import { authorizationUrl, startTestApp, type TestApp } from '../support/app.ts';
import { chromiumPath, launchBrowser } from '../support/browser.ts';

if (!chromiumPath)
  process.stderr.write('No Chromium here: the browser tests are SKIPPED. Set CHROMIUM_PATH to run them.\n');

/** Each test waits for a real page on a machine that may be busy. */
const timeoutMs = 90_000;

(chromiumPath ? describe : describe.skip)('what people look at, in a real browser', () => {
  let app: TestApp;
  let browser: Browser;
  let page: Page;
  const faults: string[] = [];

  beforeAll(async () => {
    [app, browser] = await Promise.all([startTestApp(), launchBrowser()]);
    page = await browser.newPage();
    page.on('pageerror', (error) => faults.push(error.message));
    page.on('console', (message) => message.type() === 'error' && faults.push(message.text()));
    page.on('request', (request) => {
      const { protocol, hostname } = new URL(request.url());
      if (/^https?:$/.test(protocol) && !/^(localhost|127\.0\.0\.1)$/.test(hostname))
        faults.push(`asked ${hostname}`);
    });
  }, timeoutMs);

  afterAll(async () => {
    await browser?.close();
    await app?.close();
  }, timeoutMs);

  /**
   * Runs a tab until its answer shows a text. Until GraphiQL has read the operations of the tab it came to, its button
   * still offers those of the one before, so a click may do nothing.
   */
  async function runTab(title: string, text: string): Promise<void> {
    for (let attempt = 1; ; attempt += 1) {
      await page.locator('.graphiql-tab-button', { hasText: title }).click();
      await page.locator('.graphiql-tab-active', { hasText: title }).waitFor();
      await page.locator('.graphiql-execute-button').click();
      try {
        return await answerShows(page, text, 4_000);
      } catch (error) {
        if (attempt === 8) throw error;
        await page.keyboard.press('Escape');
      }
    }
  }

  test(
    'a printed link opens GraphiQL signed in, and leaves no code in the address bar',
    async () => {
      await page.goto(`${app.url}/graphql#code=${await app.app.explorerCodes.issue()}`);
      await page.waitForSelector('.graphiql-execute-button', { timeout: timeoutMs });
      expect(page.url()).toBe(`${app.url}/graphql`);
    },
    timeoutMs,
  );

  test(
    'a person grants access on the consent page and is told so',
    async () => {
      const created = await app.graphql(
        `mutation { createConnection(input: { type: "calendly", name: "Seen", clientId: "calendly_client_xyz789", clientSecret: "secret_calendly_abc123" }) { ... on CreateConnectionSuccess { connection { id } } } }`,
      );
      expect(created.data.createConnection.connection.id).toBe(1);
      const consent = await browser.newPage();
      await consent.goto(await authorizationUrl(app.graphql, 1));
      await consent.getByRole('button', { name: /grant/i }).click();
      await consent.waitForURL(/\/oauth\/calendly\/callback/);
      expect(await consent.getByRole('heading', { level: 1 }).textContent()).toBe('Connected');
      await consent.close();
    },
    timeoutMs,
  );

  test(
    'GraphiQL runs a query and shows live changes',
    async () => {
      await runTab('Contacts', 'Marketing CRM');
      await runTab('Changes', 'recordChanges');
      await app.graphql(
        `mutation { createRecords(input: { connection: 1, baseId: "appABC123", tableId: "tblDEF456", records: [{ fields: { Name: "Seen in the browser" } }] }) { __typename } }`,
      );
      await answerShows(page, 'Seen in the browser');
    },
    timeoutMs,
  );

  test('nothing failed on the way, and no other host was asked', () => {
    expect(faults).toEqual([]);
  });
});

/** Waits until the answer pane shows a text. Its editor writes spaces as non-breaking ones. */
async function answerShows(page: Page, text: string, timeout = 30_000): Promise<void> {
  await page
    .locator('.result-window', { hasText: new RegExp(text.replaceAll(' ', '\\s')) })
    .waitFor({ timeout });
}
