import type { BaseSchemas } from '../bases/base-schemas.ts';
import type { Operation } from '../calendly/operation.ts';
import type { Clock } from '../clock.ts';
import type { ConnectionEntity } from '../connections/connection.entity.ts';
import { requireScopes, type Upstream } from '../connections/upstream.ts';
import type { AppError } from '../errors.ts';
import { deniesAccess } from './denied-access.ts';
import { requiredScopes } from './specification.ts';

/** How long a connection that could read a base is believed to still be able to, in milliseconds. */
const trustMs = 10 * 60_000;
const maxRemembered = 10_000;

/** Of a connection that was let in under its grant, and has to be asked about again. */
const longAgo = 0;

/**
 * A feed is shared by all connections of an OAuth client, but not each of them was granted every base, and the next
 * grant may leave out what the last one had: before anybody reads the log, the upstream has to let that connection read
 * the base.
 */
export class BaseReaders {
  readonly #upstream: Pick<Upstream, 'api'>;
  readonly #schemas: BaseSchemas;
  readonly #clock: Clock;
  readonly #provenAt = new Map<string, number>();

  constructor(deps: { upstream: Pick<Upstream, 'api'>; schemas: BaseSchemas; clock: Clock }) {
    this.#upstream = deps.upstream;
    this.#schemas = deps.schemas;
    this.#clock = deps.clock;
  }

  /** @throws AppError BASE_NOT_FOUND, UPSTREAM_FORBIDDEN, and what any upstream call throws */
  async require(connection: ConnectionEntity, baseId: string, operation: Operation): Promise<void> {
    // A new grant needs a new proof: the epoch changes with it.
    const key = `${connection.id}/${connection.epoch}/${baseId}`;
    const provenAt = this.#provenAt.get(key);
    if (provenAt !== undefined && this.#clock.now() - provenAt < trustMs) return;
    try {
      await this.#prove(connection, baseId, operation);
    } catch (error) {
      // Whoever was let in under this grant stays so while the upstream can't be asked, also after the grant has failed.
      const isAsked = connection.state === 'connected' && deniesAccess(error);
      if (provenAt !== undefined && !isAsked) return;
      this.#provenAt.delete(key);
      throw error;
    }
    this.#provenAt.delete(key);
    this.#provenAt.set(key, this.#clock.now());
    const [oldest] = this.#provenAt.size > maxRemembered ? this.#provenAt.keys() : [];
    if (oldest !== undefined) this.#provenAt.delete(oldest);
  }

  /** The upstream is asked before the base is read again: it has refused that connection something there. */
  doubt(connectionId: number, baseId: string): void {
    this.#schemas.forget(baseId);
    for (const key of this.#provenAt.keys())
      if (key.startsWith(`${connectionId}/`) && key.endsWith(`/${baseId}`)) this.#provenAt.set(key, longAgo);
  }

  /** The same as an answer; throws only when the upstream can't say. */
  async mayRead(connection: ConnectionEntity, baseId: string, operation: Operation): Promise<boolean> {
    try {
      await this.require(connection, baseId, operation);
      return true;
    } catch (error) {
      if (deniesAccess(error)) return false;
      throw error;
    }
  }

  /** What keeps a connection from following the base; null if nothing does. Throws only when the upstream can't say. */
  async refusal(
    connection: ConnectionEntity,
    baseId: string,
    operation: Operation,
  ): Promise<AppError | null> {
    try {
      requireScopes(connection, requiredScopes);
      await this.require(connection, baseId, operation);
      return null;
    } catch (error) {
      if (deniesAccess(error)) return error;
      throw error;
    }
  }

  async #prove(connection: ConnectionEntity, baseId: string, operation: Operation): Promise<void> {
    if (connection.grantedScopes.includes('schema.bases:read'))
      await this.#schemas.get(connection.id, baseId, operation);
    else await (await this.#upstream.api(connection.id, operation, ['webhook:manage'])).listWebhooks(baseId);
  }
}
