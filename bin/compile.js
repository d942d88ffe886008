// @ts-check
import { createHash } from 'node:crypto';
import { chmod, mkdir, mkdtemp, readdir, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, stop } from 'esbuild';

const root = fileURLToPath(new URL('..', import.meta.url));

/** Where npm's packages are, so that they are found from there, and where tools keep what can be made again. */
const cache = join(root, 'node_modules', '.cache', 'omnera-calendly-connections');

/** Those used last, of some 5 MB each: a server that still runs may yet load parts of what it was started from. */
const foldersKept = 20;

/** The programs, by the name of their compiled file. */
const programs = {
  main: 'src/main.ts',
  keys: 'src/keys.ts',
  'rotate-keys': 'src/rotate-keys.ts',
  sandbox: 'sandbox/main.ts',
};

/**
 * Compiles our programs, all that is ours and none of the packages, into a folder that is named by what is in it. It is done
 * anew at each start, in some 0.4 s, so that nothing is ever stale. Any number of processes may do it at once.
 * @returns {Promise<string>} the folder, with a file for each program
 */
export async function compile() {
  const { outputFiles } = await build({
    absWorkingDir: root,
    entryPoints: programs,
    outdir: cache,
    write: false,
    bundle: true,
    packages: 'external',
    // The parts that main.ts loads later stay parts of their own.
    splitting: true,
    format: 'esm',
    outExtension: { '.js': '.mjs' },
    platform: 'node',
    target: 'node20',
    keepNames: true,
    sourcemap: 'linked',
    logLevel: 'warning',
  });
  await stop();
  const digest = createHash('sha256');
  for (const { path, hash } of outputFiles) digest.update(`${path} ${hash}\n`);
  const folder = join(cache, digest.digest('hex').slice(0, 16));
  if (!(await exists(folder))) await write(folder, outputFiles);
  // It does not matter where that is refused.
  const now = new Date();
  await utimes(folder, now, now).catch(() => undefined);
  return folder;
}

/**
 * Whole or not at all: another process may be writing the same.
 * @param {string} folder
 * @param {import('esbuild').OutputFile[]} files
 */
async function write(folder, files) {
  await mkdir(cache, { recursive: true });
  const draft = await mkdtemp(`${folder}-`);
  try {
    await Promise.all(files.map(({ path, contents }) => writeFile(join(draft, basename(path)), contents)));
    // Who starts it next may be somebody else.
    await chmod(draft, 0o755);
    await rename(draft, folder);
  } catch (error) {
    await rm(draft, { recursive: true, force: true });
    if (!(await exists(folder))) throw error;
  }
  // Some may be somebody else's.
  await removeOld().catch(() => undefined);
}

async function removeOld() {
  const found = await Promise.all(
    (await readdir(cache)).map(async (name) => {
      const folder = join(cache, name);
      const usedAt = await stat(folder).then(
        ({ mtimeMs }) => mtimeMs,
        () => 0,
      );
      return { folder, usedAt };
    }),
  );
  const old = found.sort((a, b) => b.usedAt - a.usedAt).slice(foldersKept);
  await Promise.all(old.map(({ folder }) => rm(folder, { recursive: true, force: true })));
}

/** @param {string} path */
function exists(path) {
  return stat(path).then(
    () => true,
    () => false,
  );
}
