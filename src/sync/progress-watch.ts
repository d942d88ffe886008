import type { DataSource } from 'typeorm';
import type { Clock } from '../clock.ts';
import type { Logger } from '../logger.ts';
import type { StoredSyncs } from './stored-syncs.ts';
import { progressOf, type SyncProgress } from './sync-progress.ts';

/** How often one looks how far syncs are, while somebody watches. */
const watchIntervalMs = 1_000;

interface Watcher {
  syncId: string;
  /** The newest that was not told yet. */
  pending: SyncProgress | null;
  toldLast: string;
  wake: () => void;
  end: () => void;
}

/** How far syncs are, for those who watch: read for all of them together, and told when it has changed. */
export class ProgressWatch {
  readonly #deps: { database: DataSource; stored: StoredSyncs; clock: Clock; logger: Logger };
  readonly #watchers = new Set<Watcher>();
  #timer: NodeJS.Timeout | undefined;
  #reading: Promise<void> = Promise.resolve();

  constructor(deps: { database: DataSource; stored: StoredSyncs; clock: Clock; logger: Logger }) {
    this.#deps = deps;
  }

  /** First as it is now, then whenever it has changed; ends when the sync is deleted. @throws AppError SYNC_NOT_FOUND */
  async watch(syncId: string): Promise<AsyncGenerator<SyncProgress, undefined, undefined>> {
    let isOpen = true;
    let wake: () => void = () => undefined;
    const close = (): void => {
      isOpen = false;
      this.#watchers.delete(watcher);
      if (this.#watchers.size === 0) this.#stop();
      wake();
    };
    const watcher: Watcher = { syncId, pending: null, toldLast: '', wake: () => wake(), end: close };
    this.#tell(watcher, await this.#read(syncId, true));
    this.#watchers.add(watcher);
    this.#timer ??= setInterval(() => this.#look(), watchIntervalMs);

    async function* run(): AsyncGenerator<SyncProgress, undefined, undefined> {
      try {
        while (isOpen) {
          const { pending } = watcher;
          watcher.pending = null;
          if (pending) yield pending;
          else await new Promise<void>((resolve) => (wake = resolve));
        }
      } finally {
        close();
      }
    }
    const progress = run();
    // A generator that waits would only hear of its return when the wait is over, and one that never ran would not at all.
    const end = progress.return.bind(progress);
    progress.return = (value) => {
      close();
      return end(value);
    };
    return progress;
  }

  async close(): Promise<void> {
    for (const watcher of this.#watchers) watcher.end();
    this.#stop();
    await this.#reading;
  }

  #stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #look(): void {
    this.#reading = this.#reading
      .then(async () => {
        for (const syncId of new Set([...this.#watchers].map((watcher) => watcher.syncId))) {
          const progress = await this.#read(syncId, false);
          for (const watcher of this.#watchers) if (watcher.syncId === syncId) this.#tell(watcher, progress);
        }
      })
      .catch((error: unknown) =>
        this.#deps.logger.debug({ err: error }, 'the progress of syncs could not be read'),
      );
  }

  async #read(syncId: string, isRequired: boolean): Promise<SyncProgress | null> {
    const { stored, database, clock } = this.#deps;
    const sync = await (isRequired ? stored.get(syncId) : stored.find(syncId));
    return sync && progressOf(database, sync, clock.now());
  }

  #tell(watcher: Watcher, progress: SyncProgress | null): void {
    if (!progress) return watcher.end();
    const told = JSON.stringify(progress);
    if (told === watcher.toldLast) return;
    watcher.toldLast = told;
    watcher.pending = progress;
    watcher.wake();
  }
}
