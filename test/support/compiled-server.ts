import { mkdtemp, rm, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** What we use of the compiler that tsx brings along, so that no second version of it has to be kept. */
interface Compiler {
  build(options: Record<string, unknown>): Promise<unknown>;
}

const root = fileURLToPath(new URL('../..', import.meta.url));
const require = createRequire(import.meta.url);

export interface CompiledServer {
  /** The file that starts it, in a folder of its own. */
  program: string;
  remove(): Promise<void>;
}

/**
 * The server of this tree, compiled once for a test run: a process of it is up after a fifth of the work that tsx
 * needs for 1,500 modules. For tests whose point is what processes do; that `npm start` works is shown without it.
 */
export async function compileServer(): Promise<CompiledServer> {
  const folder = await mkdtemp(join(tmpdir(), 'omnera-calendly-compiled-'));
  const { build } = createRequire(require.resolve('tsx'))('esbuild') as Compiler;
  await build({
    absWorkingDir: root,
    entryPoints: ['src/main.ts'],
    outdir: folder,
    bundle: true,
    packages: 'external',
    // The parts that main.ts loads later stay parts of their own.
    splitting: true,
    format: 'esm',
    outExtension: { '.js': '.mjs' },
    platform: 'node',
    target: 'node20',
    keepNames: true,
    logLevel: 'warning',
  });
  await symlink(join(root, 'node_modules'), join(folder, 'node_modules'));
  return {
    program: join(folder, 'main.mjs'),
    remove: () => rm(folder, { recursive: true, force: true }),
  };
}
