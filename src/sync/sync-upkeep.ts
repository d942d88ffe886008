import type { DataSource } from 'typeorm';
import type { Clock } from '../clock.ts';
import { AppError } from '../errors.ts';
import type { Logger } from '../logger.ts';
import { RepeatedWork } from '../repeated-work.ts';
import { foldIdleOutboxes } from './idle-outboxes.ts';
import { maxSyncs, type StoredSyncs } from './stored-syncs.ts';
import type { HeldSync } from './sync-lease.ts';
import type { SyncLeases } from './sync-leases.ts';
import { resumedByHand, type SyncState } from './sync.ts';

const tickMs = 1_000;
/** How often it is seen to that a sync's connection may still follow its base. */
const checkSeconds = 60;
/** How often one looks whether a sync that waits for something can go on. */
const resumeSeconds = { CONNECTION_AWAY: 2, other: 60 };
/** What is checked at once, per process; the rest is still due a second later. */
const maxChecksAtOnce = 20;

export interface SyncUpkeepDeps {
  database: DataSource;
  stored: StoredSyncs;
  leases: SyncLeases;
  /** Has exactly these syncs worked at, under these leases. */
  work: (held: readonly HeldSync[]) => void;
  /** Why the upstream keeps a connection from a base; null when it does not, throws when it can't say. */
  refusal: (connectionId: number, baseId: string) => Promise<AppError | null>;
  /** Sets a sync going again, unless somebody else has moved it. Throws where that is not possible. @returns whether it did */
  resume: (syncId: string) => Promise<boolean>;
  /** Told of a sync that was paused or set going by itself. */
  onMoved: (syncId: string, connectionId: number, moved: 'pauseSync' | 'resumeSync', why: string) => void;
  clock: Pick<Clock, 'lookEveryMs'>;
  logger: Logger;
}

/**
 * The timers behind syncs. One takes and extends leases, so that each sync that runs is worked at by one instance, and
 * waits for the database alone. The other looks whether connection and base are there: it pauses syncs for which they are
 * not, and lets them go on when they are back. What the upstream may take long to say is asked beside it. All of it looks at
 * rows, so any number of instances may run it.
 */
export class SyncUpkeep {
  readonly #deps: SyncUpkeepDeps;
  readonly #leasing: RepeatedWork;
  readonly #looking: RepeatedWork;
  /** Checks under way, by sync. None of them is ever rejected. */
  readonly #checking = new Map<string, Promise<void>>();
  #isClosed = false;

  constructor(deps: SyncUpkeepDeps) {
    this.#deps = deps;
    const everyMs = deps.clock.lookEveryMs ?? tickMs;
    const onFailure = (error: unknown) => this.#warn(error);
    this.#leasing = new RepeatedWork({ run: () => this.#lease(), everyMs, onFailure });
    this.#looking = new RepeatedWork({ run: () => this.#look(), everyMs, onFailure });
  }

  start(): void {
    this.#leasing.start();
    this.#looking.start();
  }

  /** For whoever has just made something to do: the next run would come up to a second later. */
  lookSoon(): void {
    this.#leasing.soon();
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all([this.#leasing.close(), this.#looking.close()]);
    await Promise.all(this.#checking.values());
  }

  async #lease(): Promise<void> {
    const held = await this.#deps.leases.claim(maxSyncs);
    if (!this.#isClosed) this.#deps.work(held);
  }

  async #look(): Promise<void> {
    await this.#pauseDisconnected();
    await foldIdleOutboxes(this.#deps.database);
    await this.#beginChecks();
  }

  /** Beside the look: a check asks the upstream, which may take its time, and nobody else's sync waits for that. */
  async #beginChecks(): Promise<void> {
    const places = maxChecksAtOnce - this.#checking.size;
    if (places === 0) return;
    for (const due of await this.#claimChecks(places)) {
      if (this.#isClosed) return;
      this.#checking.set(
        due.id,
        this.#check(due)
          .catch((error: unknown) => this.#warn(error))
          .finally(() => this.#checking.delete(due.id)),
      );
    }
  }

  async #pauseDisconnected(): Promise<void> {
    const [rows] = await this.#deps.database.query<[Due[], number]>(
      `UPDATE syncs AS s SET state = 'paused', paused_because = 'CONNECTION_AWAY', holder = NULL, lease_until = NULL,
              problem = 'Connection ' || c.id || ' is ' || c.state || ', not connected.'
       FROM connections AS c
       WHERE c.id = s.connection_id AND s.state <> 'paused' AND c.state NOT IN ('connected', 'error')
       RETURNING s.id, s.connection_id AS "connectionId", s.base_id AS "baseId", s.state`,
    );
    for (const { id, connectionId } of rows)
      this.#deps.onMoved(id, connectionId, 'pauseSync', 'CONNECTION_AWAY');
  }

  async #claimChecks(limit: number): Promise<Due[]> {
    const [rows] = await this.#deps.database.query<[Due[], number]>(
      `UPDATE syncs AS s SET checked_at = clock_timestamp() WHERE id IN (
         SELECT one.id FROM syncs AS one JOIN connections AS c ON c.id = one.connection_id
         WHERE c.state = 'connected' AND one.id <> ALL ($6) AND (one.state <> 'paused' OR one.paused_because <> ALL ($5))
           AND one.checked_at < clock_timestamp() - make_interval(secs => CASE
             WHEN one.state <> 'paused' THEN $1 WHEN one.paused_because = 'CONNECTION_AWAY' THEN $2 ELSE $3::float8 END)
         LIMIT $4 FOR NO KEY UPDATE OF one SKIP LOCKED
       ) RETURNING s.id, s.connection_id AS "connectionId", s.base_id AS "baseId", s.state`,
      [
        checkSeconds,
        resumeSeconds.CONNECTION_AWAY,
        resumeSeconds.other,
        limit,
        resumedByHand,
        [...this.#checking.keys()],
      ],
    );
    return rows;
  }

  async #check({ id, connectionId, baseId, state }: Due): Promise<void> {
    const { stored, refusal, resume, onMoved, logger } = this.#deps;
    try {
      if (state === 'paused') {
        if (await resume(id)) onMoved(id, connectionId, 'resumeSync', 'ok');
        return;
      }
      const why = await refusal(connectionId, baseId);
      // Whether the connection has ended is for its row to say.
      if (why === null || why.code === 'CONNECTION_NOT_CONNECTED' || why.code === 'CONNECTION_NOT_FOUND')
        return;
      if (await stored.pause(id, 'BASE_OUT_OF_REACH', why.message))
        onMoved(id, connectionId, 'pauseSync', why.code);
    } catch (error) {
      logger.debug({ err: error, sync: id }, 'a sync stays as it is for now');
      if (state === 'paused' && error instanceof AppError) await this.#explain(id, error);
    }
  }

  #warn(error: unknown): void {
    this.#deps.logger.warn({ err: error }, 'upkeep of syncs failed; it will be tried again');
  }

  async #explain(id: string, { message }: AppError): Promise<void> {
    await this.#deps.database.query(
      `UPDATE syncs SET problem = $2 WHERE id = $1 AND state = 'paused' AND paused_because <> ALL ($3)`,
      [id, message, resumedByHand],
    );
  }
}

interface Due {
  id: string;
  connectionId: number;
  baseId: string;
  state: SyncState;
}
