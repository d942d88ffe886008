import type { Notifications } from '../database/notifications.ts';
import type { Logger } from '../logger.ts';
import type { ConnectionEntity } from './connection.entity.ts';
import type { Connections } from './connections.ts';

/** The channel on which triggers of the table tell the ids of changed rows. */
export const connectionsChannel = 'connections';

/** How often all rows are read without a notification, since those can get lost. */
const pollIntervalMs = 10_000;

export type ConnectionChange =
  | { kind: 'present' | 'created' | 'updated'; connectionId: number; connection: ConnectionEntity }
  | { kind: 'deleted'; connectionId: number; connection: null };

interface Subscriber {
  sees: (connectionId: number) => boolean;
  /**
   * What it has not taken yet, one entry per connection: whoever is slow gets the newest state, and what waits for
   * somebody is never more than there are connections.
   */
  pending: Map<number, ConnectionChange>;
  wake: () => void;
}

/**
 * Tells subscribers of this instance what becomes of connections, wherever it was done. A notification only says whose
 * row to read; what is told is the difference between the row and what was known of it. So notifications that were
 * lost, repeated or joined do no harm, and reads, which happen one after the other, settle the order.
 */
export class ConnectionChanges {
  readonly #connections: Connections;
  readonly #logger: Logger;
  readonly #subscribers = new Set<Subscriber>();
  /** Those that have asked to subscribe, until they are gone: from then on notifications are heeded. */
  #interested = 0;
  #known = new Map<number, ConnectionEntity>();
  readonly #wanted = new Set<number>();
  #wantsAll = false;
  #reading: Promise<void> = Promise.resolve();
  #next: Promise<void> | null = null;
  #poll: NodeJS.Timeout | undefined;

  constructor(deps: { connections: Connections; notifications: Notifications; logger: Logger }) {
    this.#connections = deps.connections;
    this.#logger = deps.logger;
    deps.notifications.on(connectionsChannel, {
      onMessage: (id) => this.#heed(Number(id)),
      onListening: () => this.#heed('all'),
    });
  }

  /**
   * First the present state of each connection that `sees` lets through, then what becomes of them. It ends when it is
   * returned, even in the middle of a wait.
   */
  async subscribe(
    sees: (connectionId: number) => boolean,
  ): Promise<AsyncGenerator<ConnectionChange, undefined, undefined>> {
    let wake: () => void = () => undefined;
    const subscriber: Subscriber = { sees, pending: new Map(), wake: () => wake() };
    let open = true;
    this.#interested += 1;
    this.#poll ??= setInterval(() => this.#heed('all'), pollIntervalMs);
    const close = (): void => {
      if (!open) return;
      open = false;
      this.#subscribers.delete(subscriber);
      this.#leave();
      wake();
    };
    try {
      await this.#read('all');
    } catch (error) {
      close();
      throw error;
    }
    // Nothing is read between these lines, so nothing is told twice or not at all.
    for (const [connectionId, connection] of this.#known) {
      if (sees(connectionId))
        subscriber.pending.set(connectionId, { kind: 'present', connectionId, connection });
    }
    this.#subscribers.add(subscriber);

    async function* run(): AsyncGenerator<ConnectionChange, undefined, undefined> {
      try {
        while (open) {
          const [change] = subscriber.pending.values();
          if (change) {
            subscriber.pending.delete(change.connectionId);
            yield change;
          } else await new Promise<void>((resolve) => (wake = resolve));
        }
      } finally {
        close();
      }
    }
    const changes = run();
    // A generator that waits would only hear of its return when the wait is over, and one that never ran would not at all.
    const end = changes.return.bind(changes);
    changes.return = (value) => {
      close();
      return end(value);
    };
    return changes;
  }

  close(): void {
    clearInterval(this.#poll);
  }

  #leave(): void {
    this.#interested -= 1;
    if (this.#interested > 0) return;
    clearInterval(this.#poll);
    this.#poll = undefined;
  }

  #heed(which: number | 'all'): void {
    if (this.#interested === 0) return;
    this.#read(which).catch((error: unknown) =>
      this.#logger.debug({ err: error }, 'changed connections could not be read'),
    );
  }

  /** Whoever asks during a read waits for the next one, which sees what was written meanwhile. */
  #read(which: number | 'all'): Promise<void> {
    if (which === 'all') this.#wantsAll = true;
    else this.#wanted.add(which);
    this.#next ??= this.#reading
      .catch(() => undefined)
      .then(() => {
        this.#next = null;
        return (this.#reading = this.#readWanted());
      });
    return this.#next;
  }

  async #readWanted(): Promise<void> {
    const ids = this.#wantsAll ? null : [...this.#wanted];
    this.#wantsAll = false;
    this.#wanted.clear();
    const found = new Map(
      (await this.#connections.read(ids)).map((connection) => [connection.id, connection]),
    );
    for (const id of new Set([...(ids ?? this.#known.keys()), ...found.keys()])) {
      this.#compare(id, found.get(id) ?? null);
    }
  }

  #compare(connectionId: number, connection: ConnectionEntity | null): void {
    const before = this.#known.get(connectionId);
    if (connection === null) {
      if (this.#known.delete(connectionId)) this.#tell({ kind: 'deleted', connectionId, connection });
    } else {
      this.#known.set(connectionId, connection);
      if (!before) this.#tell({ kind: 'created', connectionId, connection });
      else if (shownOf(before) !== shownOf(connection))
        this.#tell({ kind: 'updated', connectionId, connection });
    }
  }

  #tell(change: ConnectionChange): void {
    for (const { sees, pending, wake } of this.#subscribers) {
      if (!sees(change.connectionId)) continue;
      const waiting = pending.get(change.connectionId);
      // Still the first that is told of it, only newer.
      const isNew = waiting?.kind === 'present' || waiting?.kind === 'created';
      const kind = isNew && change.kind === 'updated' ? waiting.kind : change.kind;
      pending.set(change.connectionId, { ...change, kind } as ConnectionChange);
      wake();
    }
  }
}

/** What is worth telling of a row; two rows that differ in nothing of it are the same. That it is used is no change. */
function shownOf({
  epoch: _epoch,
  refreshSentGeneration: _sent,
  unreadableGeneration: _unreadable,
  lastUsedAt: _used,
  ...shown
}: ConnectionEntity): string {
  return JSON.stringify(shown);
}
