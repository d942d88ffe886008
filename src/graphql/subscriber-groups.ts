import type { Source } from './shared-source.ts';
import { SubscriberGroup } from './subscriber-group.ts';

/** The groups of this process, by what their subscribers are told. */
export class SubscriberGroups {
  readonly #groups = new Map<string, SubscriberGroup>();

  /** The group for a key, begun with this source when there is none. It is forgotten when its last subscriber leaves. */
  group(key: string, source: Source): SubscriberGroup {
    const present = this.#groups.get(key);
    if (present) return present;
    const group = new SubscriberGroup(source, () => this.#groups.delete(key));
    this.#groups.set(key, group);
    return group;
  }
}
