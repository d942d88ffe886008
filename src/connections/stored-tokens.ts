import type { DataSource } from 'typeorm';
import { connectionNotFound } from '../access/caller.ts';
import { theServer, type RecordAudit } from '../audit/audit-event.ts';
import type { AccessToken } from '../calendly/tokens.ts';
import { AppError } from '../errors.ts';
import type { Logger } from '../logger.ts';
import type { ConnectionState } from './connection.entity.ts';
import type { ConnectionSecrets } from './connection-secrets.ts';
import { recordProblem } from './connections.ts';
import { notConnected } from './not-connected.ts';
import type { ProblemCode } from './problem.ts';

/** The row of a connection that has a grant, as far as its tokens go. */
export interface TokenRow {
  id: number;
  state: ConnectionState;
  problem_code: string | null;
  epoch: number;
  token_generation: number;
  access_token_issued_at: Date | null;
  access_token_expires_at: Date | null;
  last_used_at: Date | null;
  /** Whether a refresh failed a moment ago, or an instance is renewing ahead of time. */
  refresh_rests: boolean;
  client_id: string;
  /** The envelope. */
  access_token: string | null;
}

/** The stored pair of every connection: read, opened, and given up when it is of no use any more. */
export class StoredTokens {
  readonly #database: DataSource;
  readonly #secrets: ConnectionSecrets;
  readonly #audit: RecordAudit;
  readonly #logger: Logger;

  constructor(deps: {
    database: DataSource;
    secrets: ConnectionSecrets;
    audit: RecordAudit;
    logger: Logger;
  }) {
    this.#database = deps.database;
    this.#secrets = deps.secrets;
    this.#audit = deps.audit;
    this.#logger = deps.logger;
  }

  /** @throws AppError CONNECTION_NOT_FOUND, CONNECTION_NOT_CONNECTED */
  async read(connectionId: number): Promise<TokenRow> {
    const rows: TokenRow[] = await this.#database.query(
      `SELECT c.id, c.state, c.problem_code, c.epoch, c.token_generation, c.access_token_issued_at, c.access_token_expires_at,
              c.last_used_at, coalesce(c.refresh_not_before > clock_timestamp(), false) AS refresh_rests, c.client_id, s.access_token
       FROM connections c JOIN connection_secrets s ON s.connection_id = c.id WHERE c.id = $1`,
      [connectionId],
    );
    const [row] = rows;
    if (!row) throw connectionNotFound(connectionId);
    if (row.state !== 'connected') throw notConnected(connectionId, row.state, row.problem_code);
    return row;
  }

  /** @throws AppError SECRET_UNREADABLE */
  open(row: TokenRow): AccessToken {
    if (row.access_token === null) throw notConnected(row.id, row.state, row.problem_code);
    return {
      value: this.#secrets.openAccessToken(row.access_token, row.id),
      generation: row.token_generation,
    };
  }

  /** A stored token that can't be decrypted will not be so the next time either. */
  async openOrGiveUp(row: TokenRow): Promise<AccessToken> {
    try {
      return this.open(row);
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== 'SECRET_UNREADABLE') throw error;
      return this.giveUp(row.id, row.token_generation, 'SECRET_UNREADABLE');
    }
  }

  /** What somebody else has stored since `generation`; null when nobody has, or the connection is no longer connected. */
  async newerThan(generation: number, connectionId: number): Promise<AccessToken | null> {
    const row = await this.read(connectionId).catch((error: unknown) => {
      if (error instanceof AppError) return null;
      throw error;
    });
    return row && row.token_generation > generation ? this.open(row) : null;
  }

  /**
   * One more look for a pair newer than `generation`, then the state `error`.
   * @throws AppError CONNECTION_NOT_CONNECTED with the problem
   */
  async giveUp(connectionId: number, generation: number, problem: ProblemCode): Promise<AccessToken> {
    const row = await this.read(connectionId);
    if (row.token_generation > generation) return this.open(row);
    const seen = { id: connectionId, tokenGeneration: generation };
    // Of several that see the same trouble, the one that moves the state tells it.
    if (await recordProblem(this.#database.manager, seen, problem, ['connected']))
      await this.#audit({ actor: theServer, action: 'refreshTokens', outcome: problem, connectionId });
    this.#logger.error({ connectionId, problem }, 'connection lost its authorization');
    throw notConnected(connectionId, 'error', problem);
  }
}
