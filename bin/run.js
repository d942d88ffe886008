// @ts-check
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { compile } from './compile.js';

/*
 * `node bin/run.js main --help`: one of our programs, compiled, in this very process. A loader that compiles each file as
 * it is imported would be asked about the 1,500 modules of the packages as well, which takes five times the work.
 */
const [name = 'main'] = process.argv.splice(2, 1);
const program = join(await compile().catch(leave), `${name}.mjs`);
process.argv[1] = program;
// So that stacks name lines of what is written.
process.setSourceMapsEnabled(true);
await import(pathToFileURL(program).href);

/**
 * @param {NodeJS.ErrnoException} error
 * @returns {never}
 */
function leave({ code, path, message }) {
  const isRefused = code === 'EACCES' || code === 'EROFS' || code === 'EPERM';
  process.stderr.write(
    isRefused
      ? `What is started is compiled first, and ${path} can not be written (${code}). Run \`npm start -- --version\` once as somebody who may write there; nothing is written at later starts.\n`
      : `What is to be started could not be compiled: ${message}\n`,
  );
  process.exit(1);
}
