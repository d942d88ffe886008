import { expect, test } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { errorCodes } from '../../src/errors.ts';
import { problems } from '../../src/connections/problem.ts';

const read = (name: string) => readFileSync(new URL(`../../docs/${name}`, import.meta.url), 'utf8');

test('docs/errors.md lists every error code once, with its HTTP status, and no other', () => {
  const listed = [...read('errors.md').matchAll(/^\| `([A-Z_]+)` +\| (\d{3}) +\|/gm)];
  expect(listed.map(([, code, status]) => `${code} ${status}`).sort()).toEqual(
    Object.entries(errorCodes)
      .map(([code, status]) => `${code} ${status}`)
      .sort(),
  );
});

test('docs/connection-states.md lists every problem that a connection can have, and no other', () => {
  const [, section = ''] = /^## Problems$([\s\S]*)/m.exec(read('connection-states.md')) ?? [];
  const listed = [...section.matchAll(/^\| `([A-Z_]+)` +\|/gm)].map(([, code]) => code);
  expect(listed.sort()).toEqual(Object.keys(problems).sort());
});
