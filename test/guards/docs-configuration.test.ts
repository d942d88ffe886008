import { expect, test } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { readConfig } from '../../src/config.ts';
import { environment } from '../../src/environment.ts';

const text = readFileSync(new URL('../../docs/configuration.md', import.meta.url), 'utf8');
const rows = [...text.matchAll(/^\| `([A-Z][A-Z0-9_]*)`[ †]+\| ([^|]*) \|/gm)].map(
  ([, name = '', defaultCell = '']) => ({ name, defaultCell }),
);

test('docs/configuration.md documents every variable that is read, once, and no other', () => {
  expect(rows.map(({ name }) => name).sort()).toEqual(Object.keys(environment.shape).sort());
});

test('the defaults that docs/configuration.md states are the real ones', () => {
  const { port, sandboxPort, logLevel } = readConfig({});
  const real: Record<string, unknown> = {
    ...environment.parse({}),
    PORT: port,
    SANDBOX_PORT: sandboxPort,
    LOG_LEVEL: logLevel,
  };
  const stated = rows.filter(({ name }) => ['string', 'number'].includes(typeof real[name]));
  expect(stated.length).toBeGreaterThan(8);
  for (const { name, defaultCell } of stated)
    expect({ name, defaultCell }).toEqual({
      name,
      defaultCell: expect.stringContaining(`\`${String(real[name])}\``),
    });
});
