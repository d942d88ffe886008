import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { grantToken } from '../../support/sandbox-grant.ts';

let folder: string;
let children: ChildProcess[];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sandbox-main-'));
  children = [];
});
afterEach(() => {
  for (const child of children) child.kill('SIGKILL');
  rmSync(folder, { recursive: true });
});

async function start(): Promise<{ child: ChildProcess; url: string }> {
  const main = join(process.env['TEST_PROGRAMS'] ?? '', 'sandbox.mjs');
  const env = { ...process.env, SANDBOX_PORT: '0', SANDBOX_DATA_DIR: folder };
  const child = fork(main, { execArgv: [], env, silent: true });
  children.push(child);
  const [message] = (await once(child, 'message')) as [{ ready: { url: string } }];
  return { child, url: message.ready.url };
}

test('what was answered is still there after SIGKILL', async () => {
  const { child, url } = await start();
  const { accessToken } = await grantToken(url);
  const headers = { authorization: `Bearer ${accessToken}`, 'content-type': 'application/json' };
  const body = JSON.stringify({ fields: { Name: 'Survivor' } });
  const created = await fetch(`${url}/v0/appABC123/tblDEF456`, { method: 'POST', headers, body });
  const { id } = (await created.json()) as { id: string };
  child.kill('SIGKILL');
  await once(child, 'exit');
  const again = await start();
  const read = await fetch(`${again.url}/v0/appABC123/tblDEF456/${id}`, { headers });
  expect([read.status, await read.json()]).toMatchObject([200, { id, fields: { Name: 'Survivor' } }]);
}, 60_000);

test.each(['SIGTERM', 'SIGINT'] as const)(
  '%s ends it cleanly',
  async (signal) => {
    const { child } = await start();
    child.kill(signal);
    expect(await once(child, 'exit')).toEqual([0, null]);
  },
  30_000,
);

test('it ends when the process that started it is gone', async () => {
  const { child } = await start();
  child.disconnect();
  expect(await once(child, 'exit')).toEqual([0, null]);
}, 60_000);
