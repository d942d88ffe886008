import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { FormulaError } from '../../../sandbox/formula/formula-error.ts';
import { evaluate, parseFormula } from '../../../sandbox/formula/formula.ts';
import { FUNCTIONS } from '../../../sandbox/formula/functions/library.ts';
import { run, sampleRecord } from './sample-record.ts';

const record = sampleRecord();

/** Text that looks like formulas more often than chance would have it. */
const formulaLikeText = fc
  .array(
    fc.oneof(
      fc.constantFrom(
        ...'+-*/&=<>(),{}"\'\\ ',
        '!=',
        '1',
        '0.5',
        '{Name}',
        '{When}',
        '{Empty}',
        '{Links}',
        "'x'",
      ),
      fc.constantFrom(...[...FUNCTIONS.keys()].map((name) => `${name}(`)),
      fc.string({ unit: 'binary', maxLength: 3 }),
    ),
    { maxLength: 20 },
  )
  .map((parts) => parts.join(''));

test('no text makes the parser throw anything but a FormulaError, or the evaluator anything at all', () => {
  fc.assert(
    fc.property(formulaLikeText, (text) => {
      try {
        evaluate(parseFormula(text), record);
      } catch (error) {
        expect(error).toBeInstanceOf(FormulaError);
      }
    }),
    { numRuns: 2_000 },
  );
});

const anyValue = fc.constantFrom(
  ...['{Name}', '{When}', '{Empty}', '{Links}', '{Numbers}', '{Digits}', "''", "'month'", "'YYYY'", "'('"],
  ...['-1', '0', '2.5', '1/0', '0/0', '1000000000000', 'ERROR()', 'NOW()'],
);

test('every function takes any values without throwing', () => {
  const call = fc
    .constantFrom(...FUNCTIONS)
    .chain(([name, { minArgs, maxArgs }]) =>
      fc
        .array(anyValue, { minLength: minArgs, maxLength: Math.min(maxArgs, minArgs + 3) })
        .map((args) => `${name}(${args.join(', ')})`),
    );
  fc.assert(
    fc.property(call, (text) => void evaluate(parseFormula(text), record)),
    { numRuns: 3_000 },
  );
});

/** Any text, but with many of the characters that escaping is about. */
const quotableText = fc.string({
  unit: fc.oneof(
    fc.constantFrom(...'\\\'"nt\n{}'),
    fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }),
  ),
  maxLength: 40,
});

test.each([`'`, `"`])('text escaped by the documented rule comes back as it was, in %s', (quote) => {
  fc.assert(
    fc.property(quotableText, (text) => {
      const literal = quote + text.replaceAll('\\', '\\\\').replaceAll(quote, `\\${quote}`) + quote;
      expect(run(literal)).toBe(text);
      expect(run(literal, { controlEscapesInStrings: false })).toBe(text);
    }),
    { numRuns: 1_000 },
  );
});
