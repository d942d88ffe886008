import { expect, test } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { otherActions } from '../../src/audit/audit-event.ts';

test('docs/audit.md lists everything that is audited without a mutation, and nothing else', () => {
  const text = readFileSync(new URL('../../docs/audit.md', import.meta.url), 'utf8');
  const [, section = ''] = /^\| Action \| Actor \| Outcome \|$([\s\S]*?)^$/m.exec(text) ?? [];
  const listed = [...section.matchAll(/^\| (`[^|]*`) \|/gm)].flatMap(
    ([, names = '']) => names.match(/\w+/g) ?? [],
  );
  expect([...new Set(listed)].sort()).toEqual([...otherActions].sort());
});
