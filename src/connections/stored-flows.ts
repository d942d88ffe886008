import { createHash, randomBytes, randomUUID, timingSafeEqual } from 'node:crypto';
import type { DataSource } from 'typeorm';
import { connectionNotFound, type Caller } from '../access/caller.ts';
import type { KeptCaller, KeptCallers } from '../access/kept-callers.ts';
import type { Clock } from '../clock.ts';
import type { SecretCipher } from '../encryption/secret-cipher.ts';
import type { ConnectionEntity } from './connection.entity.ts';

/** A flow lives so long in all, which is also the upstream's limit for the exchange. */
export const flowLifetimeMs = 10 * 60_000;
const secretBytes = 32;
/** Flows of one connection that may wait at a time; the oldest go first. */
const maxFlowsPerConnection = 20;

export interface FlowRow {
  id: string;
  connection_id: number;
  epoch: number;
  browser_hash: Buffer | null;
  verifier_envelope: string | null;
  scopes: string[];
  redirect_to: string | null;
  started_by: string;
  starter: KeptCaller | null;
}

/**
 * Flows as rows, and the four secrets of each: start token, state and cookie are random and stored only as hashes; the
 * verifier is sealed, and forgotten with the flow's end. Each is given out once.
 */
export class StoredFlows {
  readonly #database: DataSource;
  readonly #cipher: SecretCipher;
  readonly #callers: KeptCallers;
  readonly #clock: Clock;

  constructor(deps: { database: DataSource; cipher: SecretCipher; callers: KeptCallers; clock: Clock }) {
    this.#database = deps.database;
    this.#cipher = deps.cipher;
    this.#callers = deps.callers;
    this.#clock = deps.clock;
  }

  /**
   * Raises the connection's epoch, which ends its older flows.
   * @returns the token of the start link.
   * @throws AppError CONNECTION_NOT_FOUND when it was deleted since it was read
   */
  async begin(
    connection: ConnectionEntity,
    startedBy: Caller,
    redirectTo: string | null,
  ): Promise<{ token: string; expiresAt: Date }> {
    const token = newSecret();
    const expiresAt = new Date(this.#clock.now() + flowLifetimeMs);
    await this.#database.transaction(async (manager) => {
      const [[row]]: [{ epoch: number }[], number] = await manager.query(
        'UPDATE connections SET epoch = epoch + 1 WHERE id = $1 RETURNING epoch',
        [connection.id],
      );
      if (!row) throw connectionNotFound(connection.id);
      await manager.query('DELETE FROM authorization_flows WHERE expires_at < $1', [
        new Date(this.#clock.now() - flowLifetimeMs),
      ]);
      await manager.query(
        `DELETE FROM authorization_flows WHERE id IN
           (SELECT id FROM authorization_flows WHERE connection_id = $1 ORDER BY created_at DESC OFFSET $2)`,
        [connection.id, maxFlowsPerConnection - 1],
      );
      await manager.query(
        `INSERT INTO authorization_flows (id, connection_id, epoch, start_token_hash, scopes, redirect_to, started_by, starter, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
        [
          randomUUID(),
          connection.id,
          row.epoch,
          hashOf(token),
          connection.requestedScopes,
          redirectTo,
          startedBy.id,
          this.#callers.keep(startedBy),
          expiresAt,
        ],
      );
    });
    return { token, expiresAt };
  }

  /** @returns null when the link was opened before, is too old or never existed. */
  async open(startToken: string): Promise<FlowRow | null> {
    const [[flow]]: [FlowRow[], number] = await this.#database.query(
      `UPDATE authorization_flows SET opened_at = now()
       WHERE start_token_hash = $1 AND opened_at IS NULL AND expires_at > $2 RETURNING *`,
      [hashOf(startToken), new Date(this.#clock.now())],
    );
    return flow ?? null;
  }

  /** What the browser takes to the provider, and the cookie that it must bring back. */
  async send({ id }: FlowRow): Promise<{ state: string; codeChallenge: string; browserCookie: string }> {
    const [state, browserCookie] = [newSecret(), newSecret()];
    // 43 characters of A-Z a-z 0-9 - _: within the provider's alphabet and its 43 to 128.
    const verifier = newSecret();
    await this.#database.query(
      'UPDATE authorization_flows SET state_hash = $2, browser_hash = $3, verifier_envelope = $4 WHERE id = $1',
      [id, hashOf(state), hashOf(browserCookie), this.#cipher.seal(verifier, verifierPlace(id))],
    );
    return {
      state,
      codeChallenge: createHash('sha256').update(verifier).digest('base64url'),
      browserCookie,
    };
  }

  /** The flow that waits for this answer. */
  async waitingFor(state: string | null): Promise<FlowRow | null> {
    if (!state) return null;
    const [flow]: FlowRow[] = await this.#database.query(
      'SELECT * FROM authorization_flows WHERE state_hash = $1 AND finished_at IS NULL AND expires_at > $2',
      [hashOf(state), new Date(this.#clock.now())],
    );
    return flow ?? null;
  }

  /** The row that was read still holds the verifier; the stored one is not needed any more. @returns whether it was us. */
  async finish({ id }: FlowRow): Promise<boolean> {
    const [, finished]: [unknown[], number] = await this.#database.query(
      'UPDATE authorization_flows SET finished_at = now(), verifier_envelope = NULL WHERE id = $1 AND finished_at IS NULL',
      [id],
    );
    return finished === 1;
  }

  /** @throws AppError SECRET_UNREADABLE */
  verifierOf({ id, verifier_envelope: envelope }: FlowRow): string {
    return this.#cipher.open(envelope ?? '', verifierPlace(id));
  }
}

/** Whether one of the cookies is the flow's. */
export function isSameBrowser({ browser_hash: hash }: FlowRow, cookies: readonly string[]): boolean {
  return hash !== null && cookies.some((cookie) => timingSafeEqual(hash, hashOf(cookie)));
}

function newSecret(): string {
  return randomBytes(secretBytes).toString('base64url');
}

function hashOf(secret: string): Buffer {
  return createHash('sha256').update(secret).digest();
}

function verifierPlace(flowId: string) {
  return { table: 'authorization_flows', column: 'verifier_envelope', row: flowId };
}
