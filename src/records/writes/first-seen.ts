/** Remembers where something was given first. */
export class FirstSeen {
  readonly #places = new Map<string, number>();

  /** The place of its first mention: `index` itself if this is it. */
  at(what: string, index: number): number {
    const first = this.#places.get(what) ?? index;
    this.#places.set(what, first);
    return first;
  }
}
