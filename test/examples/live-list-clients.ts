import type { Browser, Page } from 'playwright-core';
import { ExampleProcess } from './example-process.ts';

/** A live list of contacts, whichever program keeps it. */
export interface LiveList {
  /** What it was told, such as `created rec…`, in order. */
  told(): string[];
  /** How often it has read the whole list. */
  timesListed(): number;
  /** @returns `id name` of all that it shows, sorted */
  shown(): Promise<string[]>;
  stop(): Promise<void>;
}

/** The Node program. */
export function startProgram(url: string, key: string): LiveList {
  const program = new ExampleProcess('live-list.ts', { URL: url, KEY: key });
  const lines = (word: RegExp): string[] =>
    program.output.split('\n').filter((line) => word.test(line.split(' ')[0] ?? ''));
  return {
    told: () =>
      lines(/^(CREATED|UPDATED|DELETED)$/).map((line) => {
        const [kind = '', recordId = ''] = line.split(' ');
        return `${kind.toLowerCase()} ${recordId}`;
      }),
    timesListed: () => {
      if (program.hasEnded) throw new Error(`The program has ended: ${program.notes}`);
      return lines(/^LISTED$/).length;
    },
    async shown() {
      program.output = '';
      program.pressEnter();
      while (!program.output.includes('\nIN ALL')) await new Promise((resolve) => setTimeout(resolve, 10));
      return lines(/^HAS$/)
        .map((line) => {
          const [, id = '', name = ''] = /^HAS (\S+) (.*)$/.exec(line) ?? [];
          return `${id} ${(JSON.parse(name) as string | null) ?? ''}`;
        })
        .sort();
    },
    stop: () => program.stop(),
  };
}

/** Serves the page on a port, opens it in a browser, fills in the form and follows. */
export async function startPage(
  browser: Browser,
  port: number,
  { url, key }: { url: string; key: string },
): Promise<LiveList> {
  const server = new ExampleProcess('page/serve.ts', { PORT: String(port) });
  while (!server.output.includes('\n')) {
    if (server.hasEnded) throw new Error(`The page is not served: ${server.notes}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  const page: Page = await browser.newPage();
  const told: string[] = [];
  let pagesRead = 0;
  page.on('websocket', (socket) =>
    socket.on('framereceived', ({ payload }) => {
      const { type, payload: result } = JSON.parse(payload.toString()) as {
        type: string;
        payload?: { data?: { recordChanges: { kind?: string; recordId?: string } } };
      };
      const change = type === 'next' ? result?.data?.recordChanges : undefined;
      if (change?.kind) told.push(`${change.kind.toLowerCase()} ${change.recordId}`);
    }),
  );
  page.on('requestfinished', (request) => {
    const body = request.method() === 'POST' ? request.postData() : null;
    if (body?.includes('hasNextPage') && body.includes('"after":null')) pagesRead += 1;
  });
  await page.goto(`http://localhost:${port}`);
  await page.getByLabel('Server').fill(url);
  await page.getByLabel('API key').fill(key);
  await page.getByRole('button', { name: 'Follow' }).click();
  return {
    told: () => told,
    timesListed: () => pagesRead,
    shown: async () =>
      (
        await page.locator('li').evaluateAll((items) => items.map((item) => `${item.id} ${item.textContent}`))
      ).sort(),
    stop: async () => {
      await page.close();
      await server.stop();
    },
  };
}
