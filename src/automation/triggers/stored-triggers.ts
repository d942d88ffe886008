import { randomUUID } from 'node:crypto';
import type { DataSource, EntityManager } from 'typeorm';
import type { Position } from '../../changes/position.ts';
import type { Clock } from '../../clock.ts';
import { AppError } from '../../errors.ts';
import {
  misfits,
  triggerColumns,
  triggerFromRow,
  triggerNotFound,
  type PauseReason,
  type Trigger,
  type TriggerRow,
} from './trigger.ts';
import type { TriggerHealth } from './trigger-health.ts';
import type { TriggerSecrets } from './trigger-secrets.ts';
import { isUuid } from '../../uuid.ts';

/** More triggers than this are refused; it also bounds the list, which has no pages. */
export const maxTriggers = 1_000;
export const maxTriggersPerBase = 100;

/** What somebody says of a trigger, once it was found right. */
export type TriggerSettings = Pick<
  Trigger,
  'name' | 'kinds' | 'fieldIds' | 'filter' | 'cellFilter' | 'endpointUrl' | 'action'
>;
export type TriggerPlace = Pick<Trigger, 'connectionId' | 'baseId' | 'tableId'>;

const columnOf: Readonly<Record<keyof TriggerSettings, string>> = {
  name: 'name',
  kinds: 'kinds',
  fieldIds: 'field_ids',
  filter: 'filter',
  cellFilter: 'cell_filter',
  endpointUrl: 'endpoint_url',
  action: 'action',
};
const settings = Object.keys(columnOf) as (keyof TriggerSettings)[];
/** Settings that a change of the table may leave without a meaning. */
const looksAtTable: readonly (keyof TriggerSettings)[] = ['fieldIds', 'filter', 'action'];

/** Any number that only we use: triggers are counted and added one after the other. */
const creationLock = 1_764_014;

/** Triggers as rows: created, found, listed, edited, paused. What they do lives in matcher and sender. */
export class StoredTriggers {
  readonly #database: DataSource;
  readonly #secrets: TriggerSecrets;
  readonly #health: TriggerHealth;
  readonly #clock: Clock;

  constructor(deps: { database: DataSource; secrets: TriggerSecrets; health: TriggerHealth; clock: Clock }) {
    this.#database = deps.database;
    this.#secrets = deps.secrets;
    this.#health = deps.health;
    this.#clock = deps.clock;
  }

  /**
   * @param start where in the log of the feed it begins
   * @returns with the secret that it signs with; null for one with an action
   * @throws AppError TOO_MANY
   */
  async create(
    trigger: TriggerPlace & TriggerSettings & { createdBy: string },
    start: { feedId: number; position: Position },
  ): Promise<{ trigger: Trigger; secret: string | null }> {
    const id = randomUUID();
    const { connectionId } = trigger;
    const secret = await this.#database.transaction(async (sql) => {
      await sql.query('SELECT pg_advisory_xact_lock($1)', [creationLock]);
      await requireRoom(sql, trigger.baseId);
      await sql.query(
        `INSERT INTO triggers (id, name, connection_id, base_id, table_id, kinds, field_ids, filter, cell_filter, endpoint_url,
                created_by, state, feed_id, generation, payload, ordinal, created_at, updated_at, action)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 'active', $12, $13, $14, $15, $16, $16, $17)`,
        [
          id,
          trigger.name,
          connectionId,
          trigger.baseId,
          trigger.tableId,
          trigger.kinds,
          trigger.fieldIds,
          json(trigger.filter),
          json(trigger.cellFilter),
          trigger.endpointUrl,
          trigger.createdBy,
          start.feedId,
          start.position.generation,
          start.position.payload,
          start.position.ordinal,
          this.#now(),
          json(trigger.action),
        ],
      );
      await sql.query('INSERT INTO trigger_health (trigger_id) VALUES ($1)', [id]);
      return trigger.endpointUrl === null ? null : this.#secrets.create(sql, { id, connectionId });
    });
    return { trigger: await this.get(id), secret };
  }

  /** @throws AppError TRIGGER_NOT_FOUND */
  async get(id: string): Promise<Trigger> {
    const rows = isUuid(id)
      ? await this.#database.query<TriggerRow[]>(
          `SELECT ${triggerColumns} FROM triggers AS t WHERE id = $1`,
          [id],
        )
      : [];
    const [row] = rows;
    if (!row) throw triggerNotFound(id);
    return triggerFromRow(row);
  }

  /** Oldest first. */
  async list(): Promise<Trigger[]> {
    const rows = await this.#database.query<TriggerRow[]>(
      `SELECT ${triggerColumns} FROM triggers AS t ORDER BY t.created_at, t.id LIMIT $1`,
      [maxTriggers],
    );
    return rows.map(triggerFromRow);
  }

  /**
   * Writes what is given and nothing else: whoever edits something else at the same time does not undo it. With another
   * endpoint it begins anew, and so does one that goes on with what it is given.
   * @throws AppError TRIGGER_NOT_FOUND
   */
  async edit(id: string, edits: Partial<TriggerSettings>): Promise<Trigger> {
    const given = settings.filter((setting) => edits[setting] !== undefined);
    const now = this.#now();
    await this.#database.transaction(async (sql) => {
      const [before] = await sql.query<Pick<Trigger, 'endpointUrl' | 'pausedBecause'>[]>(
        'SELECT endpoint_url AS "endpointUrl", paused_because AS "pausedBecause" FROM triggers WHERE id = $1 FOR UPDATE',
        [id],
      );
      if (!before) throw triggerNotFound(id);
      // What did not fit the table any more may do so now; if not, the log says so again.
      const goesOn =
        before.pausedBecause !== null &&
        misfits.includes(before.pausedBecause) &&
        given.some((setting) => looksAtTable.includes(setting));
      const columns = given.map((setting, index) => `, ${columnOf[setting]} = $${index + 3}`).join('');
      const going = goesOn ? `, state = 'active', problem = NULL, paused_because = NULL` : '';
      await sql.query(`UPDATE triggers SET updated_at = $2${columns}${going} WHERE id = $1`, [
        id,
        now,
        ...given.map((setting) => columnValue(edits[setting] ?? null)),
      ]);
      const isElsewhere = edits.endpointUrl !== undefined && edits.endpointUrl !== before.endpointUrl;
      if (goesOn || isElsewhere) await this.#health.beginAnew(sql, id, now);
    });
    return this.get(id);
  }

  async delete(id: string): Promise<void> {
    await this.#database.query('DELETE FROM triggers WHERE id = $1', [id]);
  }

  /**
   * @param asOf not if it was edited since
   * @returns whether it ran until now
   */
  async pause(
    id: string,
    because: PauseReason,
    problem: string | null,
    asOf: Date | null = null,
  ): Promise<boolean> {
    const [, count] = await this.#database.query<[unknown[], number]>(
      `UPDATE triggers SET state = 'paused', paused_because = $2, problem = $3, updated_at = $4
       WHERE id = $1 AND state = 'active' AND ($5::timestamptz IS NULL OR updated_at = $5)`,
      [id, because, problem, this.#now(), asOf],
    );
    return count > 0;
  }

  /** One that is paused for another reason stays so for this one as well. */
  async pauseByHand(id: string): Promise<Trigger> {
    await this.#database.query(
      `UPDATE triggers SET state = 'paused', paused_because = 'BY_HAND', problem = NULL, updated_at = $2 WHERE id = $1`,
      [id, this.#now()],
    );
    return this.get(id);
  }

  /** A new secret; the present one stays valid until a moment. */
  rotateSecret(id: string, previousUntil: Date): Promise<string> {
    return this.#database.transaction((sql) => this.#secrets.rotate(sql, id, previousUntil));
  }

  #now(): Date {
    return new Date(this.#clock.now());
  }
}

async function requireRoom(sql: EntityManager, baseId: string): Promise<void> {
  const [counts] = await sql.query<{ all: number; ofBase: number }[]>(
    `SELECT count(*)::int AS all, count(*) FILTER (WHERE base_id = $1)::int AS "ofBase" FROM triggers`,
    [baseId],
  );
  const { all = 0, ofBase = 0 } = counts ?? {};
  if (all >= maxTriggers) throw tooMany('This server holds', maxTriggers);
  if (ofBase >= maxTriggersPerBase) throw tooMany(`The base ${baseId} has`, maxTriggersPerBase);
}

function tooMany(who: string, max: number): AppError {
  return new AppError(
    'TOO_MANY',
    `${who} ${max} triggers already, which is the limit. Delete one that is no longer used.`,
    { details: { max } },
  );
}

/** PostgreSQL's arrays come from arrays, its JSON from text. */
function columnValue(value: TriggerSettings[keyof TriggerSettings]): string | string[] | null {
  return value === null || typeof value === 'string' || Array.isArray(value) ? value : json(value);
}

function json(value: object | null): string | null {
  return value && JSON.stringify(value);
}
