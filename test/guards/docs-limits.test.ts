import { expect, test } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { environment } from '../../src/environment.ts';
import { documentLimits } from '../../src/graphql/document-limits.ts';

/*
 * A row of docs/limits.md reads | bound | number with its unit | [`constant`](where it is defined) | what lies beyond |.
 * Each such number is compared with the constant in the source text, or with the default of the variable.
 */

const docs = new URL('../../docs/', import.meta.url);
const text = readFileSync(new URL('limits.md', docs), 'utf8');
const rows = [...text.matchAll(/^\| [^|]+ \| ([^|]+) \| \[`([\w.]+)`\]\(([^)#]+)\) +\|/gm)].map(
  ([, stated = '', name = '', file = '']) => ({ stated, name, file }),
);

const milliseconds: Record<string, number> = {
  ms: 1,
  s: 1_000,
  min: 60_000,
  h: 3_600_000,
  days: 86_400_000,
};
const ownUnits: [RegExp, number][] = [
  [/Ms\b|^deadlines\./, 1],
  [/Seconds\b/, 1_000],
  [/Minutes\b/, 60_000],
  [/Hours\b|_HOURS$/, 3_600_000],
  [/Days\b|_DAYS$/, 86_400_000],
  [/_MS$/, 1],
];

/** The first number of a cell; times in milliseconds, sizes in bytes. */
function statedNumber(cell: string): number {
  const [, digits = '', unit = ''] = /([\d,.]+)(?: (ms|s|min|h|days|MiB)\b)?/.exec(cell) ?? [];
  const factor = unit === 'MiB' ? 2 ** 20 : (milliseconds[unit] ?? 1);
  return Number(digits.replaceAll(',', '')) * factor;
}

function realNumber({ name, file }: { name: string; file: string }): number {
  const factor = ownUnits.find(([pattern]) => pattern.test(name))?.[1] ?? 1;
  if (file.endsWith('.md')) return Number((environment.parse({}) as Record<string, unknown>)[name]) * factor;
  const source = readFileSync(new URL(file, docs), 'utf8');
  const [constant = '', key] = name.split('.');
  const [, definition = ''] =
    new RegExp(`const ${constant}(?:: [^=]+)? = (\\{[^}]*\\}|[^;]+)`).exec(source) ?? [];
  const expression =
    key === undefined ? definition : (new RegExp(`\\b${key}: ([\\d_ *]+)`).exec(definition)?.[1] ?? '');
  return expression
    .split('*')
    .reduce((product, part) => product * Number(part.replaceAll('_', '') || NaN), factor);
}

test('every number in docs/limits.md is the one in the code', () => {
  expect(rows.length).toBeGreaterThan(50);
  expect(rows.map((row) => ({ ...row, number: statedNumber(row.stated) }))).toEqual(
    rows.map((row) => ({ ...row, number: realNumber(row) })),
  );
});

test('docs/limits.md states every limit on documents', () => {
  const stated = rows.map(({ name }) => name).filter((name) => name.startsWith('documentLimits.'));
  expect(stated.sort()).toEqual(
    Object.keys(documentLimits)
      .map((limit) => `documentLimits.${limit}`)
      .sort(),
  );
});
