import { readFile, writeFile } from 'node:fs/promises';
import { lexicographicSortSchema, printSchema } from 'graphql';
import { schema } from './schema.ts';

/** `npm run schema` writes schema.graphql; with `--check` it only says whether the file is still true. */
const file = new URL('../../schema.graphql', import.meta.url);
const printed = `${printSchema(lexicographicSortSchema(schema))}\n`;

if (process.argv.includes('--check')) {
  if ((await readFile(file, 'utf8').catch(() => '')) !== printed) {
    process.stderr.write(
      'schema.graphql does not match the code. Run "npm run schema" and commit the result.\n',
    );
    process.exitCode = 1;
  }
} else {
  await writeFile(file, printed);
}
