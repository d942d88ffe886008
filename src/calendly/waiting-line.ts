import { priorities, type Priority } from './operation.ts';

/** A place in the line. Equal in urgency and owner, the longest waiting goes first. */
export interface Waiting {
  callerId: string;
  priority: Priority;
}

/**
 * Who is next. Which class has its turn is the shared budget's to say; within each, callers take turns, so that one with a
 * hundred waiting calls does not hold up one with a single call.
 */
export class WaitingLine<Item extends Waiting> {
  readonly #turns = { person: new Turns<Item>(), drain: new Turns<Item>(), background: new Turns<Item>() };

  get size(): number {
    return priorities.reduce((sum, priority) => sum + this.#turns[priority].size, 0);
  }

  count(priority: Priority): number {
    return this.#turns[priority].size;
  }

  add(item: Item): void {
    this.#turns[item.priority].add(item);
  }

  /** Whether it was waiting. */
  remove(item: Item): boolean {
    return this.#turns[item.priority].remove(item);
  }

  /** Takes the next out of the line. */
  takeNext(priority: Priority): Item | undefined {
    return this.#turns[priority].takeNext();
  }

  items(): Item[] {
    return priorities.flatMap((priority) => this.#turns[priority].items());
  }
}

/** Callers in the order of their turns: who has just gone stands behind all others. */
class Turns<Item extends Waiting> {
  readonly #callers = new Map<string, Set<Item>>();
  size = 0;

  add(item: Item): void {
    const waiting = this.#callers.get(item.callerId);
    if (waiting) waiting.add(item);
    else this.#callers.set(item.callerId, new Set([item]));
    this.size += 1;
  }

  remove(item: Item): boolean {
    const waiting = this.#callers.get(item.callerId);
    if (!waiting?.delete(item)) return false;
    if (waiting.size === 0) this.#callers.delete(item.callerId);
    this.size -= 1;
    return true;
  }

  takeNext(): Item | undefined {
    for (const [callerId, waiting] of this.#callers) {
      for (const item of waiting) {
        this.remove(item);
        if (waiting.size > 0) {
          this.#callers.delete(callerId);
          this.#callers.set(callerId, waiting);
        }
        return item;
      }
    }
    return undefined;
  }

  items(): Item[] {
    return [...this.#callers.values()].flatMap((waiting) => [...waiting]);
  }
}
