import { CallMeter, type Operation } from '../../calendly/operation.ts';
import { maxRecordsPerPage } from '../../calendly/api.ts';
import type { RecordPageSize } from '../../calendly/record-page-size.ts';
import { isOversized } from '../../calendly/silence.ts';
import type { WireRecord } from '../../calendly/wire.ts';
import type { BaseSchemas } from '../../bases/base-schemas.ts';
import type { TableSchema } from '../../bases/table-schema.ts';
import { chunksOf, halvesOf } from '../../records/record-planner.ts';
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
   * One page, as large as `sizes` finds it can be; an offset that has died restarts nothing: `hasExpired` tells of it. That
   * there is nothing, or nothing more, is asked for twice: a slip would leave out what is there.
   */
  async page(
    { connectionId, baseId, tableId }: Place,
    listing: { filterByFormula?: string; offset: string | null },
    sizes: RecordPageSize,
    signal: AbortSignal,
  ): Promise<TablePage> {
    const meter = new CallMeter();
    const { page } = await sizes.read(maxRecordsPerPage, async (pageSize) => {
      // A deadline of its own for each: large answers take long.
      const operation = { ...this.operation(signal), meter };
      const api = await this.#upstream.api(connectionId, operation, ['data.records:read']);
      const ask = () => api.listRecords(baseId, tableId, { pageSize, ...listing });
      const asked = await ask();
      return asked.records.length === 0 && asked.offset === null ? ask() : asked;
    });
    return { ...page, calls: meter.calls };
  }

  /** Those that exist. */
  async records(place: Place, ids: readonly string[], signal: AbortSignal): Promise<Map<string, WireRecord>> {
    const found = new Map<string, WireRecord>();
    for (const some of chunksOf(ids, maxRecordsPerPage))
      for (const record of await this.#some(place, some, signal)) found.set(record.id, record);
    return found;
  }

  /** Asks for halves where all are too large together. @param ids at most 100 */
  async #some(place: Place, ids: readonly string[], signal: AbortSignal): Promise<WireRecord[]> {
    const { connectionId, baseId, tableId } = place;
    try {
      const api = await this.#upstream.api(connectionId, this.operation(signal), ['data.records:read']);
      return await api.recordsByIds(baseId, tableId, ids);
    } catch (error) {
      if (ids.length === 1 || !isOversized(error)) throw error;
      const halves: WireRecord[][] = [];
      for (const half of halvesOf(ids)) halves.push(await this.#some(place, half, signal));
      return halves.flat();
    }
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
