import { baseNotFound } from '../access/caller.ts';
import { requireId } from '../calendly/ids.ts';
import type { Operation } from '../calendly/operation.ts';
import type { WireBase } from '../calendly/wire.ts';
import type { Clock } from '../clock.ts';
import type { Upstream } from '../connections/upstream.ts';
import { AppError } from '../errors.ts';
import { BaseSchema } from './base-schema.ts';
import { SharedReads } from './shared-reads.ts';

/** How long a schema is believed without news of a change, in milliseconds. */
const maxSchemaAgeMs = 5 * 60_000;
/** How long a list of bases is believed, in milliseconds: grants change without notice. */
const maxListAgeMs = 60_000;
const maxSchemas = 500;
const maxLists = 1_000;

const schemaScopes = ['schema.bases:read'];

/**
 * Bases and their schemas, shared by all operations of the process. Kept per grant, which a connection's epoch tells
 * apart: each may see something else, and a new one is not answered with what an older one could see.
 */
export class BaseSchemas {
  readonly #upstream: Pick<Upstream, 'open'>;
  readonly #clock: Clock;
  readonly #schemas: SharedReads<BaseSchema>;
  readonly #lists: SharedReads<WireBase[]>;

  constructor(deps: { upstream: Pick<Upstream, 'open'>; clock: Clock }) {
    this.#upstream = deps.upstream;
    this.#clock = deps.clock;
    this.#schemas = new SharedReads({ clock: deps.clock, maxAgeMs: maxSchemaAgeMs, maxEntries: maxSchemas });
    this.#lists = new SharedReads({ clock: deps.clock, maxAgeMs: maxListAgeMs, maxEntries: maxLists });
  }

  /**
   * The tables of a base; one call unless they are known already. The connection is checked in any case, so that a kept
   * schema does not outlive it.
   * @throws AppError BASE_NOT_FOUND, also for a base that the connection may not see, and what `Upstream.api` throws
   */
  async get(connectionId: number, baseId: string, operation: Operation): Promise<BaseSchema> {
    requireId('app', baseId);
    const { key, send } = await this.#reading(connectionId, baseId, operation);
    return this.#schemas.read(key, operation, send);
  }

  /** The same as the upstream describes them now. All who ask at once share a call, and another if one was under way. */
  async renew(connectionId: number, baseId: string, operation: Operation): Promise<BaseSchema> {
    const { key, send } = await this.#reading(connectionId, baseId, operation);
    return this.#schemas.readAfresh(key, operation, send);
  }

  async #reading(connectionId: number, baseId: string, operation: Operation) {
    const { api, connection } = await this.#upstream.open(connectionId, operation, schemaScopes);
    const send = async (): Promise<BaseSchema> => {
      const tables = await api.baseSchema(baseId).catch((error: unknown) => {
        throw hidesBase(error) ? baseNotFound(baseId, connectionId) : error;
      });
      return new BaseSchema(baseId, tables, this.#clock.now());
    };
    return { key: `${connectionId}/${connection.epoch}/${baseId}`, send };
  }

  /** All bases that the connection was granted. */
  async list(connectionId: number, operation: Operation): Promise<readonly WireBase[]> {
    const { api, connection } = await this.#upstream.open(connectionId, operation, schemaScopes);
    return this.#lists.read(`${connectionId}/${connection.epoch}`, operation, () => api.listBases());
  }

  /** To be called when the base's tables or fields have changed, or the upstream no longer knows one that we knew. */
  forget(baseId: string): void {
    this.#schemas.forget((key) => key.endsWith(`/${baseId}`));
  }
}

/** The upstream answers the same for a base that does not exist and for one that was not granted. */
function hidesBase(error: unknown): boolean {
  return error instanceof AppError && error.details.upstreamType === 'INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND';
}
