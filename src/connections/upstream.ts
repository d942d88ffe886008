import { CalendlyApi } from '../calendly/api.ts';
import type { Operation } from '../calendly/operation.ts';
import type { Transport } from '../calendly/transport.ts';
import { AppError } from '../errors.ts';
import { notConnected, type AccessTokens } from './access-tokens.ts';
import type { ConnectionEntity } from './connection.entity.ts';
import type { Connections } from './connections.ts';

/** The upstream as one connection sees it, for one operation. */
export class Upstream {
  readonly #connections: Connections;
  readonly #tokens: AccessTokens;
  readonly #transport: Transport;
  /** However many resolvers of an operation ask, the connection's row is read once. */
  readonly #ofOperation = new WeakMap<
    Operation,
    Map<number, Promise<{ connection: ConnectionEntity; api: CalendlyApi }>>
  >();

  constructor(deps: { connections: Connections; tokens: AccessTokens; transport: Transport }) {
    this.#connections = deps.connections;
    this.#tokens = deps.tokens;
    this.#transport = deps.transport;
  }

  /**
   * @param scopes Scopes that the call needs; a missing one is named before anything is sent.
   * @throws AppError CONNECTION_NOT_FOUND, CONNECTION_NOT_CONNECTED, SCOPE_MISSING
   */
  async api(
    connectionId: number,
    operation: Operation,
    scopes: readonly string[] = [],
  ): Promise<CalendlyApi> {
    let known = this.#ofOperation.get(operation);
    if (!known) this.#ofOperation.set(operation, (known = new Map()));
    let opened = known.get(connectionId);
    if (!opened) known.set(connectionId, (opened = this.#open(connectionId, operation)));
    const { connection, api } = await opened;
    requireScopes(connection, scopes);
    return api;
  }

  async #open(
    connectionId: number,
    operation: Operation,
  ): Promise<{ connection: ConnectionEntity; api: CalendlyApi }> {
    const connection = await this.#connections.get(connectionId);
    if (connection.state !== 'connected')
      throw notConnected(connectionId, connection.state, connection.problemCode);
    return {
      connection,
      api: new CalendlyApi(this.#transport, this.#tokens.source(connectionId), operation),
    };
  }
}

/** @throws AppError SCOPE_MISSING naming every scope that the grant lacks. */
export function requireScopes(
  connection: Pick<ConnectionEntity, 'id' | 'grantedScopes'>,
  scopes: readonly string[],
): void {
  const missing = scopes.filter((scope) => !connection.grantedScopes.includes(scope));
  if (missing.length === 0) return;
  throw new AppError(
    'SCOPE_MISSING',
    `Connection ${connection.id} was not granted ${missing.join(' and ')}. Enable the scope in the OAuth integration, choose a preset that has it, and connect again.`,
    { details: { connectionId: connection.id, missingScopes: missing } },
  );
}
