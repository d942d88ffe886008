import { CalendlyApi } from '../calendly/api.ts';
import type { Operation } from '../calendly/operation.ts';
import type { Transport } from '../calendly/transport.ts';
import { AppError } from '../errors.ts';
import type { AccessTokens } from './access-tokens.ts';
import { notConnected } from './not-connected.ts';
import type { ConnectionEntity } from './connection.entity.ts';
import type { Connections } from './connections.ts';

export interface OpenedConnection {
  connection: ConnectionEntity;
  api: CalendlyApi;
}

/** The upstream as one connection sees it, for one operation. */
export class Upstream {
  readonly #connections: Connections;
  readonly #tokens: AccessTokens;
  readonly #transport: Transport;
  /** However many resolvers of an operation ask, the connection's row is read once. */
  readonly #ofOperation = new WeakMap<Operation, Map<number, Promise<OpenedConnection>>>();

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
    return (await this.open(connectionId, operation, scopes)).api;
  }

  /** The same together with the connection as the operation has found it. */
  async open(
    connectionId: number,
    operation: Operation,
    scopes: readonly string[] = [],
  ): Promise<OpenedConnection> {
    let known = this.#ofOperation.get(operation);
    if (!known) this.#ofOperation.set(operation, (known = new Map<number, Promise<OpenedConnection>>()));
    let opened = known.get(connectionId);
    if (!opened) known.set(connectionId, (opened = this.#read(connectionId, operation)));
    requireScopes((await opened).connection, scopes);
    return opened;
  }

  async #read(connectionId: number, operation: Operation): Promise<OpenedConnection> {
    const { connectionAgeMs = 0 } = operation;
    const recent = this.#connections.recent(connectionId, connectionAgeMs);
    const connection = recent?.state === 'connected' ? recent : await this.#connections.get(connectionId);
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
