import type { Caller } from '../access/caller.ts';
import type { OperationSchemas } from '../bases/operation-schemas.ts';
import type { PendingWork } from '../bases/pending-work.ts';
import type { TableSchema } from '../bases/table-schema.ts';
import type { CalendlyApi } from '../calendly/api.ts';
import { requireId } from '../calendly/ids.ts';
import type { Operation } from '../calendly/operation.ts';
import type { Clock } from '../clock.ts';
import type { Connections } from '../connections/connections.ts';
import type { Upstream } from '../connections/upstream.ts';
import type { AppError } from '../errors.ts';
import type { RecordCopies } from './copies/record-copies.ts';
import type { FieldSet } from './field-set.ts';
import { RecordAllowance } from './record-allowance.ts';
import { asTheyAreNow, type Freshness, type RecordNode } from './record-node.ts';
import { RecordPlanner } from './record-planner.ts';
import type { RecordReads } from './record-reads.ts';
import { fieldSetOf, fieldsBehindLinks, namesIn, type RecordSelection } from './record-selection.ts';
import type { StoredWrites } from './writes/stored-writes.ts';

const readScopes = ['data.records:read'];
const writeScopes = ['data.records:write'];

/** Which base, through which connection. */
export interface TablePlace {
  connectionId: number;
  baseId: string;
}

/** What the process has for reading and writing records. */
export interface RecordServices {
  connections: Connections;
  upstream: Upstream;
  recordReads: RecordReads;
  recordCopies: RecordCopies;
  clock: Clock;
  recordWrites: StoredWrites;
}

/**
 * What one operation does with records, whoever began it and however it was asked: its one planner, the schemas that it
 * has settled on, what it may still give.
 */
export class RecordWork {
  readonly operation: Operation;
  readonly caller: Caller;
  readonly services: RecordServices;
  readonly schemas: OperationSchemas;
  readonly pending: PendingWork;
  readonly planner: RecordPlanner;
  /** How many records the operation may still give. */
  readonly allowance = new RecordAllowance();
  /** Says what callers may read of a failure that is none of ours to foresee, and logs it. */
  readonly explain: (error: unknown) => AppError;
  /** What has been worked out per selection. Sibling records are asked for with the same one, so this pays per place. */
  readonly #fieldSets = new WeakMap<RecordSelection, Map<TableSchema, FieldSet>>();

  constructor(deps: {
    operation: Operation;
    caller: Caller;
    services: RecordServices;
    schemas: OperationSchemas;
    pending: PendingWork;
    explain: (error: unknown) => AppError;
  }) {
    this.operation = deps.operation;
    this.caller = deps.caller;
    this.services = deps.services;
    this.schemas = deps.schemas;
    this.pending = deps.pending;
    this.explain = deps.explain;
    this.planner = new RecordPlanner({
      openApi: (connectionId) => this.openForReading(connectionId),
      operation: deps.operation,
      schemas: deps.schemas,
      pending: deps.pending,
      inFlight: deps.services.recordReads.lookups,
      copies: deps.services.recordCopies,
      clock: deps.services.clock,
    });
  }

  openForReading(connectionId: number): Promise<CalendlyApi> {
    return this.services.upstream.api(connectionId, this.operation, readScopes);
  }

  openForWriting(connectionId: number, operation: Operation): Promise<CalendlyApi> {
    return this.services.upstream.api(connectionId, operation, writeScopes);
  }

  /** The cells that a selection needs of a table; tells the planner what the links below it will need. */
  fieldsNeeded(
    { connectionId, baseId }: TablePlace,
    table: TableSchema,
    selection: RecordSelection,
  ): FieldSet {
    let byTable = this.#fieldSets.get(selection);
    if (!byTable) this.#fieldSets.set(selection, (byTable = new Map<TableSchema, FieldSet>()));
    const known = byTable.get(table);
    if (known) return known;
    const fields = fieldSetOf(selection, table);
    byTable.set(table, fields);
    const base = this.schemas.ready(connectionId, baseId);
    if (base && selection.links.length > 0) {
      for (const [tableId, behind] of fieldsBehindLinks(selection, table, base)) {
        this.planner.expect(connectionId, baseId, tableId, behind);
      }
    }
    return fields;
  }

  /**
   * The records with these ids, each null when the table does not have it, or the error that met it. Lookups of the whole
   * operation share their calls. The caller's right to the base must have been checked.
   * @throws AppError TOO_MANY when the operation would give more records than it may, and what reading the schema throws
   * @param tableIdOrName checked against the live schema
   * @param level 1 for what needs no other record of the operation
   */
  async lookUp(
    place: TablePlace,
    tableIdOrName: string,
    ids: readonly string[],
    selection: RecordSelection,
    level: number,
    freshness: Freshness = asTheyAreNow,
  ): Promise<(RecordNode | null | Error)[]> {
    const { connectionId, baseId } = place;
    const table = await this.pending.preparing(
      level,
      this.schemas.table(connectionId, baseId, tableIdOrName, namesIn(selection)),
    );
    return this.loadAll(place, table, ids, selection, level, freshness);
  }

  /** The same for a table at hand. */
  async loadAll(
    { connectionId, baseId }: TablePlace,
    table: TableSchema,
    ids: readonly string[],
    selection: RecordSelection,
    level: number,
    freshness: Freshness,
  ): Promise<(RecordNode | null | Error)[]> {
    this.allowance.take(ids.length);
    const fields = this.fieldsNeeded({ connectionId, baseId }, table, selection);
    return Promise.all(
      ids.map(async (recordId) => {
        try {
          requireId('rec', recordId);
          return await this.planner.load({ connectionId, baseId, table, recordId, fields, freshness }, level);
        } catch (error) {
          return error instanceof Error ? error : new Error('A lookup failed', { cause: error });
        }
      }),
    );
  }
}

/** For those who asked for one record. */
export function oneOf(found: readonly (RecordNode | null | Error)[]): RecordNode | null {
  const [record = null] = found;
  if (record instanceof Error) throw record;
  return record;
}
