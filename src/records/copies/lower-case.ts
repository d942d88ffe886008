import type { RecordTest } from '../filters/record-test.ts';

/** Maps characters to lower case by the long rules of Unicode, as JavaScript does. */
export const foldingCollation = '"und-x-icu"';

/** No characters beyond have cases. */
const lastCased = 0x1ffff;

/** The sigma at the end of a word is another than elsewhere. */
const sigmas = ['ΑΣ', 'ΑΣ.', 'ΑΣ Σ', 'ΣΑ', 'ΑΣΑ', 'Α.ΣΑ', 'Α\u0301Σ\u0301'];

/**
 * What PostgreSQL makes of upper case. Its ICU may know an older or newer Unicode than we do, or not be there at all. A
 * text can be looked for by lower case if none of its characters is one that the two map differently: whatever else is
 * in a cell can then not make a difference.
 */
export class LowerCase {
  readonly #query: (text: string, values: unknown[]) => Promise<Record<string, unknown>[]>;
  /** Characters that can't be looked for; null: none can. */
  #unsafe: Promise<ReadonlySet<string> | null> | undefined;

  constructor(query: (text: string, values: unknown[]) => Promise<Record<string, unknown>[]>) {
    this.#query = query;
  }

  async canFind(texts: readonly string[]): Promise<boolean> {
    if (texts.length === 0) return true;
    // Asked again after a failure.
    this.#unsafe ??= this.#compare().catch((error: unknown) => {
      this.#unsafe = undefined;
      throw error;
    });
    const unsafe = await this.#unsafe;
    if (!unsafe) return false;
    return texts.every((text) =>
      [...text, ...text.toLowerCase()].every((one) => !unsafe.has(one) && isKnown(one)),
    );
  }

  async #compare(): Promise<ReadonlySet<string> | null> {
    const [collation] = await this.#query('SELECT to_regcollation($1) IS NOT NULL AS known', [
      foldingCollation,
    ]);
    if (collation?.known !== true) return null;
    const words = [...upperCase(), ...sigmas];
    const [answer] = await this.#query(`SELECT lower($1::text COLLATE ${foldingCollation}) AS folded`, [
      words.join('\n'),
    ]);
    const folded = String(answer?.folded).split('\n');
    return new Set(
      words.flatMap((word, index) => {
        const [ours, theirs] = [word.toLowerCase(), folded[index] ?? ''];
        return ours === theirs ? [] : [...word, ...ours, ...theirs];
      }),
    );
  }
}

/** The texts that a test compares by their lower case. */
export function foldedTexts(test: RecordTest): string[] {
  switch (test.kind) {
    case 'all':
    case 'any':
      return test.parts.flatMap(foldedTexts);
    case 'not':
      return foldedTexts(test.part);
    default:
      return test.kind === 'text' && test.ignoreCase ? [test.text] : [];
  }
}

/** A character that our Unicode has not assigned may have a case in a newer one. */
function isKnown(character: string): boolean {
  return !/\p{Cn}/u.test(character);
}

function upperCase(): string[] {
  const characters: string[] = [];
  for (let code = 0; code <= lastCased; code += 1) {
    if (code >= 0xd800 && code <= 0xdfff) continue;
    const character = String.fromCodePoint(code);
    if (character.toLowerCase() !== character) characters.push(character);
  }
  return characters;
}
