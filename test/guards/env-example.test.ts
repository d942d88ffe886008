import { expect, test } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { readConfig } from '../../src/config.ts';
import { environment } from '../../src/environment.ts';

const sample = readFileSync(new URL('../../.env.example', import.meta.url), 'utf8');
const lines = [...sample.matchAll(/^#?([A-Z][A-Z0-9_]*)=(.*)$/gm)].map(([, name = '', value = '']) => ({
  name,
  value,
}));

test('the sample environment names every variable that is read, once, and no other', () => {
  expect(lines.map((line) => line.name).sort()).toEqual(Object.keys(environment.shape).sort());
});

test('the defaults that the sample states are the real ones', () => {
  const example = ['DATABASE_URL'];
  const stated: Record<string, string> = {};
  for (const { name, value } of lines) if (!example.includes(name)) stated[name] = value;
  const { portIsChosen, sandboxPortIsChosen, ...withSample } = readConfig(stated);
  expect(portIsChosen && sandboxPortIsChosen).toBe(true);
  expect(readConfig({})).toMatchObject(withSample);
});
