import type { DocumentNode } from 'graphql';

/**
 * Characters of all documents that are kept parsed. A parsed document takes up to 250 bytes per character, so that a
 * caller who sends ever new ones fills 100 MB at most.
 */
const maxCachedCharacters = 400_000;

/** Parsed documents by their text. The one that was used longest ago makes room first. */
export class DocumentCache {
  readonly #maxCharacters: number;
  readonly #documents = new Map<string, DocumentNode>();
  #characters = 0;

  constructor(maxCharacters = maxCachedCharacters) {
    this.#maxCharacters = maxCharacters;
  }

  get(text: string): DocumentNode | undefined {
    const document = this.#documents.get(text);
    if (document) {
      this.#documents.delete(text);
      this.#documents.set(text, document);
    }
    return document;
  }

  set(text: string, document: DocumentNode): void {
    if (!this.#documents.delete(text)) this.#characters += text.length;
    this.#documents.set(text, document);
    for (const oldest of this.#documents.keys()) {
      if (this.#characters <= this.#maxCharacters) return;
      this.#documents.delete(oldest);
      this.#characters -= oldest.length;
    }
  }
}

/** For errors of parsing: each would keep its text, which may be long, and finding it again costs no more than it did. */
export const nothingCached = { get: () => undefined, set: () => undefined };
