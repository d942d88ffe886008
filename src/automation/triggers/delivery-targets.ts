import type { DataSource } from 'typeorm';
import type { ClaimedDelivery } from './delivery-leases.ts';

type Target = Pick<
  ClaimedDelivery,
  'endpointUrl' | 'action' | 'secret' | 'previousSecret' | 'previousUntil' | 'connectionId' | 'asOf'
>;

interface Asked {
  triggerId: string;
  told: (target: Promise<Target | null>) => void;
}

/**
 * Where triggers deliver to, as their rows say now. For deliveries that were taken a while ago: whoever has paused or
 * deleted a trigger, or changed its endpoint or secret, means those as well. Whoever asks while a query is under way
 * shares the next one, so a busy process asks for all its triggers at once.
 */
export class DeliveryTargets {
  readonly #database: DataSource;
  #asked: Asked[] = [];
  #isAsking = false;

  constructor(database: DataSource) {
    this.#database = database;
  }

  /** @returns null for a trigger that does not run, or is no more */
  of(triggerId: string): Promise<Target | null> {
    return new Promise((resolve) => {
      this.#asked.push({ triggerId, told: resolve });
      if (!this.#isAsking) void this.#askAll();
    });
  }

  async #askAll(): Promise<void> {
    this.#isAsking = true;
    // Who asks in the same moment shares the query.
    await Promise.resolve();
    while (this.#asked.length > 0) {
      const asked = this.#asked.splice(0);
      const targets = this.#read([...new Set(asked.map(({ triggerId }) => triggerId))]);
      for (const { triggerId, told } of asked) told(targets.then((all) => all.get(triggerId) ?? null));
      await targets.catch(() => undefined);
    }
    this.#isAsking = false;
  }

  async #read(triggerIds: string[]): Promise<Map<string, Target>> {
    const rows = await this.#database.query<({ id: string } & Target)[]>(
      `SELECT t.id, t.connection_id AS "connectionId", t.endpoint_url AS "endpointUrl", t.action, t.updated_at AS "asOf", s.secret,
              s.previous_secret AS "previousSecret", s.previous_until AS "previousUntil"
       FROM triggers AS t LEFT JOIN trigger_secrets AS s ON s.trigger_id = t.id
       WHERE t.id = ANY($1) AND t.state = 'active'`,
      [triggerIds],
    );
    return new Map(rows.map(({ id, ...target }) => [id, target]));
  }
}
