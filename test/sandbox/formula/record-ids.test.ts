import { expect, test } from '@jest/globals';
import { parseFormula } from '../../../sandbox/formula/formula.ts';
import { recordIdsOf } from '../../../sandbox/formula/record-ids.ts';

test.each<[string, string[] | null]>([
  ["RECORD_ID()='recA'", ['recA']],
  ["'recA' = RECORD_ID()", ['recA']],
  ["OR(RECORD_ID()='recA', RECORD_ID()='recB')", ['recA', 'recB']],
  ["OR(RECORD_ID()='recA', OR(RECORD_ID()='recB'))", ['recA', 'recB']],
  ["OR(RECORD_ID()='recA', {Name}='x')", null],
  ["AND(RECORD_ID()='recA', RECORD_ID()='recB')", null],
  ["NOT(RECORD_ID()='recA')", null],
  ["RECORD_ID()!='recA'", null],
  ["RECORD_ID()='recA'='recB'", null],
  ['RECORD_ID()={Name}', null],
  ['RECORD_ID()', null],
])('the ids %s asks for', (text, expected) => {
  expect(recordIdsOf(parseFormula(text))).toEqual(expected);
});
