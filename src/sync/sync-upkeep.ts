import type { DataSource } from 'typeorm';
import type { Clock } from '../clock.ts';
import { AppError } from '../errors.ts';
import type { Logger } from '../logger.ts';
import { maxSyncs, type StoredSyncs } from './stored-syncs.ts';
import type { SyncLeases } from './sync-lease.ts';
import type { SyncState } from './sync.ts';

const tickMs = 1_000;
/** How often it is seen to that a sync's connection may still follow its base. */
const checkSeconds = 60;
/** How often one looks whether a sync that waits for something can go on. */
const resumeSeconds = { CONNECTION_AWAY: 2, other: 60 };
/** What one tick checks at most; the rest is still due a second later. */
const maxChecksPerTick = 20;

export interface SyncUpkeepDeps {
  clock: Pick<Clock, 'lookEveryMs'>;
  database: DataSource;
  stored: StoredSyncs;
  leases: SyncLeases;
  /** Has exactly these syncs worked at. */
  work: (syncIds: readonly string[]) => void;
  /** Why the upstream keeps a connection from a base; null when it does not, throws when it can't say. */
  refusal: (connectionId: number, baseId: string) => Promise<AppError | null>;
  /** Sets a sync going again, unless somebody else has moved it. Throws where that is not possible. @returns whether it did */
  resume: (syncId: string) => Promise<boolean>;
  /** Told of a sync that was paused or set going by itself. */
  onMoved: (syncId: string, connectionId: number, moved: 'pauseSync' | 'resumeSync', why: string) => void;
  logger: Logger;
}

/**
 * The timer behind syncs. It takes and extends leases, so that each sync that runs is worked at by one instance; it pauses
 * syncs whose connection or base is away, and lets them go on when what was away is back. All of it looks at rows, so any
 * number of instances may run it.
 */
export class SyncUpkeep {
  readonly #deps: SyncUpkeepDeps;
  #timer: NodeJS.Timeout | undefined;
  #working: Promise<void> = Promise.resolve();
  #isTicking = false;
  #tickAgain = false;
  #isClosed = false;

  constructor(deps: SyncUpkeepDeps) {
    this.#deps = deps;
  }

  start(): void {
    this.#schedule(0);
  }

  /** For whoever has just made something to do: the tick would come up to a second later. */
  lookSoon(): void {
    if (!this.#isTicking) this.#schedule(0);
    else this.#tickAgain = true;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    await this.#working;
  }

  #schedule(delayMs: number): void {
    clearTimeout(this.#timer);
    if (this.#isClosed) return;
    this.#timer = setTimeout(() => {
      this.#isTicking = true;
      this.#tickAgain = false;
      this.#working = this.#tick().catch((error: unknown) =>
        this.#deps.logger.warn({ err: error }, 'upkeep of syncs failed; it will be tried again'),
      );
      void this.#working.then(() => {
        this.#isTicking = false;
        this.#schedule(this.#tickAgain ? 0 : (this.#deps.clock.lookEveryMs ?? tickMs));
      });
    }, delayMs);
  }

  async #tick(): Promise<void> {
    await this.#pauseDisconnected();
    const held = await this.#deps.leases.claim(maxSyncs);
    if (!this.#isClosed) this.#deps.work(held);
    for (const due of await this.#claimChecks()) await this.#check(due);
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

  async #claimChecks(): Promise<Due[]> {
    const [rows] = await this.#deps.database.query<[Due[], number]>(
      `UPDATE syncs AS s SET checked_at = clock_timestamp() WHERE id IN (
         SELECT one.id FROM syncs AS one JOIN connections AS c ON c.id = one.connection_id
         WHERE c.state = 'connected' AND one.paused_because IS DISTINCT FROM 'BY_HAND'
           AND one.checked_at < clock_timestamp() - make_interval(secs => CASE
             WHEN one.state <> 'paused' THEN $1 WHEN one.paused_because = 'CONNECTION_AWAY' THEN $2 ELSE $3::float8 END)
         LIMIT $4 FOR NO KEY UPDATE OF one SKIP LOCKED
       ) RETURNING s.id, s.connection_id AS "connectionId", s.base_id AS "baseId", s.state`,
      [checkSeconds, resumeSeconds.CONNECTION_AWAY, resumeSeconds.other, maxChecksPerTick],
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

  async #explain(id: string, { message }: AppError): Promise<void> {
    await this.#deps.database.query(
      `UPDATE syncs SET problem = $2 WHERE id = $1 AND state = 'paused' AND paused_because <> 'BY_HAND'`,
      [id, message],
    );
  }
}

interface Due {
  id: string;
  connectionId: number;
  baseId: string;
  state: SyncState;
}
