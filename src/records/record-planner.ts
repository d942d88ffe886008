import DataLoader from 'dataloader';
import type { OperationSchemas } from '../bases/operation-schemas.ts';
import type { PendingWork } from '../bases/pending-work.ts';
import type { SharedReads } from '../bases/shared-reads.ts';
import type { TableSchema } from '../bases/table-schema.ts';
import { maxRecordsPerPage, type CalendlyApi } from '../calendly/api.ts';
import type { Operation } from '../calendly/operation.ts';
import type { WireRecord } from '../calendly/wire.ts';
import type { Clock } from '../clock.ts';
import { isOversized } from '../calendly/silence.ts';
import { AppError } from '../errors.ts';
import { CopyLookups } from './copies/copy-lookups.ts';
import type { RecordCopies } from './copies/record-copies.ts';
import { covers, fieldsToAsk, unite, type FieldSet } from './field-set.ts';
import { KnownRecords } from './known-records.ts';
import { nodeOf, originOf, type Freshness, type RecordNode } from './record-node.ts';
import { timed, type Timed } from './record-reads.ts';

/** One record that some place of the operation asks for, with the cells that it needs. */
export interface RecordLookup {
  connectionId: number;
  baseId: string;
  table: TableSchema;
  recordId: string;
  fields: FieldSet;
  freshness: Freshness;
}

type Place = Omit<RecordLookup, 'recordId' | 'fields' | 'freshness'>;

/** Opens the upstream for this operation. */
export type OpenApi = (connectionId: number) => Promise<CalendlyApi>;

interface TableState {
  /** What any lookup of the operation needs of this table, as far as is known; only grows. */
  needed: FieldSet;
  records: KnownRecords;
}

/** By id: the record with all cells that were asked for, null where the table has none, or why it could not be asked. */
type Found = Map<string, RecordNode | null | Error>;

/**
 * All lookups of one operation, wherever they stand in it. Those of one level leave together once everything that may
 * still add to them has settled; per table, ids that are not known yet are asked for in hundreds, each with all cells
 * that any place needs. So a level costs ⌈distinct ids ÷ 100⌉ calls per table, and less for records met before. Each
 * place gets its record cut to what it asked; a call that fails fails the places that asked for its ids alone. Ids whose
 * records are too large together are asked for again in halves.
 */
export class RecordPlanner {
  readonly #openApi: OpenApi;
  readonly #operation: Operation;
  readonly #schemas: OperationSchemas;
  readonly #pending: PendingWork;
  readonly #inFlight: SharedReads<Timed<WireRecord[]>>;
  readonly #clock: Clock;
  readonly #copies: CopyLookups;
  readonly #loaders: DataLoader<RecordLookup, RecordNode | null>[] = [];
  readonly #tables = new Map<string, TableState>();
  #hasWritten = false;

  constructor(deps: {
    openApi: OpenApi;
    operation: Operation;
    schemas: OperationSchemas;
    pending: PendingWork;
    inFlight: SharedReads<Timed<WireRecord[]>>;
    copies: RecordCopies;
    clock: Clock;
  }) {
    this.#openApi = deps.openApi;
    this.#operation = deps.operation;
    this.#schemas = deps.schemas;
    this.#pending = deps.pending;
    this.#inFlight = deps.inFlight;
    this.#clock = deps.clock;
    this.#copies = new CopyLookups(deps);
  }

  /** Announces what lookups of a table will need later on, so that the first call asks for it. */
  expect(connectionId: number, baseId: string, tableId: string, fields: FieldSet): void {
    const state = this.#state(connectionId, baseId, tableId);
    state.needed = unite(state.needed, fields);
  }

  /** The record, or null. @param level 1 for what needs no other read of the operation */
  load(lookup: RecordLookup, level: number): Promise<RecordNode | null> {
    const known = this.#known(this.#stateOf(lookup), lookup);
    if (known !== undefined)
      return Promise.resolve(known?.cutTo(lookup.fields, level, lookup.freshness) ?? null);
    if (lookup.freshness.maxAgeMs === null) return this.#loadLive(lookup, level);
    return this.#pending.reading(level, this.#loadCopied(lookup, lookup.freshness.maxAgeMs, level));
  }

  async #loadCopied(lookup: RecordLookup, maxAgeMs: number, level: number): Promise<RecordNode | null> {
    const copied = await this.#copies.load(lookup, maxAgeMs, level);
    if (!copied || !('liveBecause' in copied)) return copied;
    return this.#loadLive({ ...lookup, freshness: copied }, level);
  }

  #loadLive(lookup: RecordLookup, level: number): Promise<RecordNode | null> {
    const state = this.#stateOf(lookup);
    state.needed = unite(state.needed, lookup.fields);
    return this.#pending.reading(level, this.#loader(level).load(lookup));
  }

  /** Takes records that came in another way, by a listing or a write, so that a lookup need not fetch them again. */
  remember({ connectionId, baseId, table }: Place, records: readonly RecordNode[]): void {
    this.#state(connectionId, baseId, table.id).records.add(records);
  }

  /** Forgets every record, since a write may change any of them by its links and formulas. */
  forgetRecords(): void {
    this.#hasWritten = true;
    for (const { records } of this.#tables.values()) records.clear();
  }

  /** False from the first write on: an answer that is on its way to somebody else may be older than the write. */
  get mayShareReads(): boolean {
    return !this.#hasWritten;
  }

  #loader(level: number): DataLoader<RecordLookup, RecordNode | null> {
    // Records are remembered per table with the cells they know, which a cache of whole lookups could not do.
    return (this.#loaders[level] ??= new DataLoader((lookups) => this.#loadAll(lookups, level), {
      cache: false,
      batchScheduleFn: (dispatch) => this.#pending.whenReadyToRead(level, dispatch),
    }));
  }

  async #loadAll(lookups: readonly RecordLookup[], level: number): Promise<(RecordNode | null | Error)[]> {
    const byTable = new Map<TableState, RecordLookup[]>();
    for (const lookup of lookups) {
      const state = this.#stateOf(lookup);
      const others = byTable.get(state);
      if (others) others.push(lookup);
      else byTable.set(state, [lookup]);
    }
    const found = new Map<TableState, Found>();
    await Promise.all(
      [...byTable].map(async ([state, group]) => found.set(state, await this.#fetchMissing(state, group))),
    );
    return lookups.map((lookup) => {
      const record = found.get(this.#stateOf(lookup))?.get(lookup.recordId) ?? null;
      return record instanceof Error
        ? record
        : (record?.cutTo(lookup.fields, level, lookup.freshness) ?? null);
    });
  }

  /** Fills the state, which later answers may change before all of these have come: what holds here is what is given. */
  async #fetchMissing(state: TableState, lookups: readonly RecordLookup[]): Promise<Found> {
    const place = lookups[0]!;
    const missing = new Set<string>();
    const all: Found = new Map();
    for (const lookup of lookups) {
      const known = this.#known(state, lookup);
      if (known === undefined) missing.add(lookup.recordId);
      else all.set(lookup.recordId, known);
    }
    const fields = state.needed;
    const readChunks = async (chunks: readonly string[][]): Promise<void> => {
      await Promise.all(chunks.map(readChunk));
    };
    const readChunk = async (ids: string[]): Promise<void> => {
      try {
        const found = await this.#fetch(place, ids, fields);
        const origin = originOf(place, { known: fields, readAt: found.askedAt, level: 1 });
        const records = new Map(found.answer.map((wire) => [wire.id, nodeOf(origin, wire)]));
        for (const id of ids) {
          const record = records.get(id) ?? null;
          all.set(id, record);
          state.records.set(id, record);
        }
      } catch (error) {
        if (isOversized(error) && ids.length > 1) return readChunks(halvesOf(ids));
        const failure = error instanceof Error ? error : new Error('A lookup failed', { cause: error });
        for (const id of ids) all.set(id, failure);
      }
    };
    await readChunks(chunksOf([...missing], maxRecordsPerPage));
    return all;
  }

  async #fetch(place: Place, ids: string[], fields: FieldSet): Promise<Timed<WireRecord[]>> {
    const { connectionId, baseId, table } = place;
    const api = await this.#openApi(connectionId);
    const asked = fieldsToAsk(fields, table);
    const send = () => timed(this.#clock.now(), api.recordsByIds(baseId, table.id, ids, asked));
    try {
      if (!this.mayShareReads) return await send();
      const key = `${connectionId}/${baseId}/${table.id}/${asked?.join(',') ?? '*'}/${ids.join(',')}`;
      return await this.#inFlight.read(key, this.#operation, send);
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== 'FIELD_NOT_FOUND') throw error;
      // A field has gone since the schema was read. Its cells are missing now; the rest is answered.
      this.#schemas.forgetShared(baseId);
      return timed(this.#clock.now(), api.recordsByIds(baseId, table.id, ids));
    }
  }

  #known(state: TableState, lookup: RecordLookup): RecordNode | null | undefined {
    const known = state.records.get(lookup.recordId);
    return known && !covers(known.origin.known, lookup.fields) ? undefined : known;
  }

  #stateOf({ connectionId, baseId, table }: Place): TableState {
    return this.#state(connectionId, baseId, table.id);
  }

  #state(connectionId: number, baseId: string, tableId: string): TableState {
    const key = `${connectionId}/${baseId}/${tableId}`;
    let state = this.#tables.get(key);
    if (!state) this.#tables.set(key, (state = { needed: new Set(), records: new KnownRecords() }));
    return state;
  }
}

export function halvesOf<T>(items: readonly T[]): T[][] {
  return chunksOf(items, Math.ceil(items.length / 2));
}

export function chunksOf<T>(items: readonly T[], size: number): T[][] {
  const chunks: T[][] = [];
  for (let start = 0; start < items.length; start += size) chunks.push(items.slice(start, start + size));
  return chunks;
}
