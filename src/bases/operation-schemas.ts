import type { Operation } from '../calendly/operation.ts';
import type { WireBase } from '../calendly/wire.ts';
import type { Clock } from '../clock.ts';
import type { BaseSchema } from './base-schema.ts';
import type { BaseSchemas } from './base-schemas.ts';
import type { TableSchema } from './table-schema.ts';

/** A schema at least this old is read again before a table or field is said not to exist, in milliseconds. */
const doubtedAfterMs = 5_000;

/** The schemas that one operation works with: each is settled once, so that all parts of an answer agree. */
export class OperationSchemas {
  readonly #shared: BaseSchemas;
  readonly #operation: Operation;
  readonly #clock: Clock;
  /** When the operation first asked for a schema. */
  readonly #startedAt: number;
  readonly #reads = new Map<string, Promise<BaseSchema>>();
  readonly #ready = new Map<string, BaseSchema>();
  readonly #lists = new Map<number, Promise<readonly WireBase[]>>();

  constructor(deps: { shared: BaseSchemas; operation: Operation; clock: Clock }) {
    this.#shared = deps.shared;
    this.#operation = deps.operation;
    this.#clock = deps.clock;
    this.#startedAt = deps.clock.now();
  }

  /** The schema if this operation has it already; for places that must not wait. */
  ready(connectionId: number, baseId: string): BaseSchema | null {
    return this.#ready.get(`${connectionId}/${baseId}`) ?? null;
  }

  load(connectionId: number, baseId: string): Promise<BaseSchema> {
    const key = `${connectionId}/${baseId}`;
    return this.#reads.get(key) ?? this.#settle(key, this.#shared.get(connectionId, baseId, this.#operation));
  }

  #settle(key: string, read: Promise<BaseSchema>): Promise<BaseSchema> {
    this.#reads.set(key, read);
    return read.then((schema) => {
      if (this.#reads.get(key) === read) this.#ready.set(key, schema);
      return schema;
    });
  }

  bases(connectionId: number): Promise<readonly WireBase[]> {
    let list = this.#lists.get(connectionId);
    if (!list) this.#lists.set(connectionId, (list = this.#shared.list(connectionId, this.#operation)));
    return list;
  }

  /**
   * A table by id or name. When it, or one of `fieldNames`, is not in a schema that has some age, the schema is read once
   * more: it may have been made since.
   * @param fits looks for anything else that may be missing in the table
   * @param ageMs from which age on the schema is doubted
   * @throws AppError TABLE_NOT_FOUND; unknown fields are the caller's to report
   */
  async table(
    connectionId: number,
    baseId: string,
    idOrName: string,
    fieldNames: Iterable<string> = [],
    fits: (table: TableSchema) => boolean = () => true,
    ageMs = doubtedAfterMs,
  ): Promise<TableSchema> {
    const fitsAll = (schema: BaseSchema): boolean => hasAll(schema, idOrName, fieldNames, fits);
    return (await this.fitting(connectionId, baseId, fitsAll, ageMs)).getTable(idOrName);
  }

  /** The schema, read once more when it does not fit and is so old, unless it was read for this operation. */
  async fitting(
    connectionId: number,
    baseId: string,
    fits: (schema: BaseSchema) => boolean,
    ageMs = doubtedAfterMs,
  ): Promise<BaseSchema> {
    const schema = await this.load(connectionId, baseId);
    const isDoubted = schema.readAt < this.#startedAt && this.#clock.now() - schema.readAt >= ageMs;
    return isDoubted && !fits(schema) ? this.renew(schema, connectionId) : schema;
  }

  /**
   * A table as the upstream describes it now, if what this operation knows has some age; null if it may be believed. For
   * those who are about to say that something does not fit.
   * @throws AppError TABLE_NOT_FOUND
   */
  async doubted(connectionId: number, baseId: string, idOrName: string): Promise<TableSchema | null> {
    const schema = await this.load(connectionId, baseId);
    if (this.#clock.now() - schema.readAt < doubtedAfterMs) return null;
    return (await this.renew(schema, connectionId)).getTable(idOrName);
  }

  /** For everybody, this operation included: it has changed the schema itself. */
  forget(connectionId: number, baseId: string): void {
    const key = `${connectionId}/${baseId}`;
    this.#ready.delete(key);
    this.#reads.delete(key);
    this.#shared.forget(baseId);
  }

  /** For other operations: the upstream no longer knows something of the schema. This operation keeps to what it has. */
  forgetShared(baseId: string): void {
    this.#shared.forget(baseId);
  }

  /** Reads a schema again, unless that has happened here since `outdated` was read. */
  renew(outdated: BaseSchema, connectionId: number): Promise<BaseSchema> {
    const { baseId } = outdated;
    const key = `${connectionId}/${baseId}`;
    if (this.#ready.get(key) !== outdated) return this.load(connectionId, baseId);
    this.#ready.delete(key);
    return this.#settle(key, this.#shared.renew(connectionId, baseId, this.#operation));
  }
}

function hasAll(
  schema: BaseSchema,
  idOrName: string,
  fieldNames: Iterable<string>,
  fits: (table: TableSchema) => boolean,
): boolean {
  const table = schema.findTable(idOrName);
  if (!table) return false;
  for (const name of fieldNames) if (!table.findField(name)) return false;
  return fits(table);
}
