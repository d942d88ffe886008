import { CallMeter, type Operation } from '../../calendly/operation.ts';
import { maxRecordsPerPage } from '../../calendly/api.ts';
import type { WireRecord } from '../../calendly/wire.ts';
import type { BaseSchemas } from '../../bases/base-schemas.ts';
import type { TableSchema } from '../../bases/table-schema.ts';
import type { Clock } from '../../clock.ts';
import type { Upstream } from '../../connections/upstream.ts';
import type { Sync } from '../sync.ts';

/** Longest that one upstream call of a sync may take, waits for the rate limit included, in milliseconds. */
const callDeadlineMs = 60_000;

export type Place = Pick<Sync, 'connectionId' | 'baseId' | 'tableId'>;

export interface TablePage {
  records: WireRecord[];
  offset: string | null;
  calls: number;
}

/** What a sync asks of the upstream: nobody waits for it, so all of it is background work. */
export class UpstreamTable {
  readonly #upstream: Pick<Upstream, 'api'>;
  readonly #schemas: BaseSchemas;
  readonly #clock: Clock;

  constructor(deps: { upstream: Pick<Upstream, 'api'>; schemas: BaseSchemas; clock: Clock }) {
    this.#upstream = deps.upstream;
    this.#schemas = deps.schemas;
    this.#clock = deps.clock;
  }

  /**
   * One page; an offset that has died restarts nothing: `hasExpired` tells of it. That there is nothing, or nothing more, is
   * asked for twice: a slip would leave out what is there.
   */
  async page(
    { connectionId, baseId, tableId }: Place,
    listing: { filterByFormula?: string; offset: string | null },
    signal: AbortSignal,
  ): Promise<TablePage> {
    const operation = this.operation(signal);
    const api = await this.#upstream.api(connectionId, operation, ['data.records:read']);
    const ask = () => api.listRecords(baseId, tableId, { pageSize: maxRecordsPerPage, ...listing });
    const page = await ask();
    const isTheEnd = page.records.length === 0 && page.offset === null;
    return { ...(isTheEnd ? await ask() : page), calls: operation.meter.calls };
  }

  /** Those that exist. */
  async records(
    { connectionId, baseId, tableId }: Place,
    ids: readonly string[],
    signal: AbortSignal,
  ): Promise<Map<string, WireRecord>> {
    const found = new Map<string, WireRecord>();
    for (let from = 0; from < ids.length; from += maxRecordsPerPage) {
      const api = await this.#upstream.api(connectionId, this.operation(signal), ['data.records:read']);
      const some = ids.slice(from, from + maxRecordsPerPage);
      for (const record of await api.recordsByIds(baseId, tableId, some)) found.set(record.id, record);
    }
    return found;
  }

  /** The table's fields as they are now. @throws AppError TABLE_NOT_FOUND */
  async schema({ connectionId, baseId, tableId }: Place, signal: AbortSignal): Promise<TableSchema> {
    this.#schemas.forget(baseId);
    const schema = await this.#schemas.get(connectionId, baseId, this.operation(signal));
    return schema.getTable(tableId);
  }

  operation(signal: AbortSignal): Operation {
    return {
      callerId: 'syncs',
      priority: 'background',
      deadline: this.#clock.now() + callDeadlineMs,
      signal,
      meter: new CallMeter(),
    };
  }
}
