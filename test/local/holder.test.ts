import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FolderHold } from '../../src/local/holder.ts';

let folder: string;
const children: ChildProcess[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'holder-'));
});

afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  await rm(folder, { recursive: true, force: true });
});

test('refuses a second process within two seconds and names the first, its address and since when', async () => {
  const child = await holdInChild('http://localhost:4711');
  const startedAt = performance.now();
  await expect(FolderHold.take(folder)).rejects.toThrow(
    new RegExp(
      `process ${child.pid} serves http://localhost:4711 from the data folder ${folder} since 20\\d\\d-`,
    ),
  );
  expect(performance.now() - startedAt).toBeLessThan(2_000);
});

test('a folder that is there and cannot be written is refused in words', async () => {
  // Root may write wherever files can be; in /sys there are none to make.
  const isRoot = process.getuid?.() === 0;
  if (!isRoot) await chmod(folder, 0o500);
  const place = isRoot ? '/sys' : folder;
  await expect(FolderHold.take(place)).rejects.toThrow(
    new RegExp(`^The data folder ${place} cannot be written \\(E[A-Z]+\\)\\. Set DATA_DIR`),
  );
});

test('gives the folder to the next one after a release', async () => {
  const first = await FolderHold.take(folder);
  await first.release();
  const second = await FolderHold.take(folder);
  await second.release();
  expect(await readdir(folder)).toEqual([]);
});

test('gives the folder to the next one after the holder was killed', async () => {
  const child = await holdInChild('http://localhost:4711');
  child.kill('SIGKILL');
  await once(child, 'exit');
  const next = await FolderHold.take(folder);
  await next.release();
});

test('takes no later process with the same number for the holder', async () => {
  const hold = await FolderHold.take(folder);
  const file = join(folder, 'holder.json');
  const card = JSON.parse(await readFile(file, 'utf8')) as Record<string, unknown>;
  await hold.release();
  await writeFile(file, JSON.stringify({ ...card, identity: 'an earlier process with our number' }));
  const next = await FolderHold.take(folder);
  await next.release();
});

test('tells by its beat whether a holder in another container lives', async () => {
  const file = join(folder, 'holder.json');
  const elsewhere = {
    pid: 1,
    identity: 'x',
    where: 'another machine',
    since: '2026-01-01T00:00:00.000Z',
    url: null,
  };
  await writeFile(file, JSON.stringify(elsewhere));
  const beat = setInterval(() => void utimes(file, new Date(), new Date()), 200);
  await expect(FolderHold.take(folder)).rejects.toThrow('process 1 is starting');
  clearInterval(beat);

  const next = await FolderHold.take(folder);
  await next.release();
});

test('gives the folder to one of many that ask at once, also over a dead holder', async () => {
  const child = await holdInChild('http://localhost:4711');
  child.kill('SIGKILL');
  await once(child, 'exit');
  const outcomes = await Promise.allSettled(Array.from({ length: 20 }, () => FolderHold.take(folder)));
  const holds = outcomes.filter((outcome) => outcome.status === 'fulfilled');
  expect(holds).toHaveLength(1);
  await holds[0]?.value.release();
});

async function holdInChild(url: string): Promise<ChildProcess> {
  const program = `
    const { FolderHold } = await import('./src/local/holder.ts');
    const hold = await FolderHold.take(${JSON.stringify(folder)});
    await hold.announce(${JSON.stringify(url)});
    process.stdout.write('held');
    setInterval(() => undefined, 1_000);`;
  const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.push(child);
  await once(child.stdout, 'data');
  return child;
}
