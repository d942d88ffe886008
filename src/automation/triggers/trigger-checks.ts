import type { DataSource } from 'typeorm';
import { AppError } from '../../errors.ts';
import type { Logger } from '../../logger.ts';
import type { StoredTriggers } from './stored-triggers.ts';
import type { Misfit } from './trigger-misfit.ts';
import type { OnTriggerMoved, Trigger } from './trigger.ts';

/** How often it is seen to that a trigger's connection may still follow its base, and that its table is there. */
const checkSeconds = 60;
/** How often one looks whether a trigger that waits for its connection or base can go on. */
const resumeSeconds = { CONNECTION_AWAY: 2, BASE_OUT_OF_REACH: 60 };
/** What is checked at once, per process; the rest is still due a second later. */
const maxChecksAtOnce = 20;

export interface TriggerChecksDeps {
  database: DataSource;
  stored: StoredTriggers;
  /** Why the upstream keeps a connection from a base; null when it does not, throws when it can't say. */
  refusal: (connectionId: number, baseId: string) => Promise<AppError | null>;
  /** Why the table, as the upstream describes it, leaves nothing for a trigger to do; null when it does. */
  misfit: (trigger: Trigger) => Promise<Misfit | null>;
  /** Sets a trigger going again, unless somebody has paused it meanwhile. Throws where that is not possible. */
  resume: (triggerId: string) => Promise<boolean>;
  onMoved: OnTriggerMoved;
  logger: Logger;
}

/**
 * Asks the upstream, now and then, whether triggers may do what they are for: pauses those that may not, and lets those go
 * on that wait for it. It may take its time to say so, and nobody's deliveries wait for that. Who is due stands in rows.
 */
export class TriggerChecks {
  readonly #deps: TriggerChecksDeps;
  /** Under way, by trigger. */
  readonly #checking = new Map<string, Promise<void>>();

  constructor(deps: TriggerChecksDeps) {
    this.#deps = deps;
  }

  /** Begins those that are due, beside whoever calls. */
  async begin(): Promise<void> {
    const places = maxChecksAtOnce - this.#checking.size;
    if (places === 0) return;
    for (const due of await this.#claim(places)) {
      const ended = this.#check(due)
        .catch((error: unknown) =>
          this.#deps.logger.warn({ err: error, trigger: due.id }, 'a trigger could not be checked'),
        )
        .finally(() => this.#checking.delete(due.id));
      this.#checking.set(due.id, ended);
    }
  }

  async close(): Promise<void> {
    await Promise.all(this.#checking.values());
  }

  async #claim(limit: number): Promise<Due[]> {
    const [rows] = await this.#deps.database.query<[Due[], number]>(
      `UPDATE triggers AS t SET checked_at = clock_timestamp() WHERE id IN (
         SELECT one.id FROM triggers AS one JOIN connections AS c ON c.id = one.connection_id
         WHERE c.state = 'connected' AND one.id <> ALL($5) AND (one.state = 'active' OR one.paused_because IN ('CONNECTION_AWAY', 'BASE_OUT_OF_REACH'))
           AND one.checked_at < clock_timestamp() - make_interval(secs => CASE
             WHEN one.state = 'active' THEN $1 WHEN one.paused_because = 'CONNECTION_AWAY' THEN $2 ELSE $3::float8 END)
         LIMIT $4 FOR UPDATE OF one SKIP LOCKED
       ) RETURNING t.id, t.connection_id AS "connectionId", t.base_id AS "baseId", t.state`,
      [
        checkSeconds,
        resumeSeconds.CONNECTION_AWAY,
        resumeSeconds.BASE_OUT_OF_REACH,
        limit,
        [...this.#checking.keys()],
      ],
    );
    return rows;
  }

  async #check({ id, connectionId, baseId, state }: Due): Promise<void> {
    const { stored, refusal, misfit, resume, onMoved, logger } = this.#deps;
    try {
      if (state === 'paused') {
        if (await resume(id)) onMoved(id, connectionId, 'resumeTrigger', 'ok');
        return;
      }
      const why = await refusal(connectionId, baseId);
      // Whether the connection has ended is for its row to say.
      if (why?.code === 'CONNECTION_NOT_CONNECTED' || why?.code === 'CONNECTION_NOT_FOUND') return;
      if (why) {
        if (await stored.pause(id, 'BASE_OUT_OF_REACH', why.message))
          onMoved(id, connectionId, 'pauseTrigger', why.code);
        return;
      }
      const trigger = await stored.get(id);
      const unfit = await misfit(trigger);
      if (unfit && (await stored.pause(id, unfit.because, unfit.problem, trigger.updatedAt)))
        onMoved(id, connectionId, 'pauseTrigger', unfit.because);
    } catch (error) {
      logger.debug({ err: error, trigger: id }, 'a trigger stays as it is for now');
      if (state === 'paused' && error instanceof AppError) await this.#explain(id, error);
    }
  }

  async #explain(id: string, { message }: AppError): Promise<void> {
    await this.#deps.database.query(
      `UPDATE triggers SET problem = $2 WHERE id = $1 AND paused_because IN ('CONNECTION_AWAY', 'BASE_OUT_OF_REACH')`,
      [id, message],
    );
  }
}

interface Due {
  id: string;
  connectionId: number;
  baseId: string;
  state: 'active' | 'paused';
}
