import { expect, test } from '@jest/globals';
import { nearestName } from '../src/nearest-name.ts';

test.each([
  ['Emial', ['Name', 'Email', 'Status'], 'Email'],
  ['email', ['Name', 'Email'], 'Email'],
  ['Contact', ['Contacts', 'Companies'], 'Contacts'],
  ['Étage', ['Etage', 'Stage'], 'Etage'],
  ['xyz', ['Name', 'Email'], null],
  ['a', ['b'], null],
  ['', ['Name'], null],
  ['x'.repeat(10_000), ['Name'], null],
  ['anything', [], null],
])('%s among %j', (wanted, names, nearest) => {
  expect(nearestName(wanted, names)).toBe(nearest);
});
