import type { DataSource } from 'typeorm';
import { verifyMac } from '../calendly/signature.ts';
import { answeredEarly } from '../database/early-answer.ts';
import { runPrepared, type PreparedStatement } from '../database/prepared.ts';
import type { SecretCipher } from '../encryption/secret-cipher.ts';
import type { Drains } from './drain.ts';
import { openMacSecret } from './mac-secrets.ts';
import { isUuid } from '../uuid.ts';

/**
 * As HTTP statuses: taken, forged, nobody's, too early. The upstream takes 200 and 204 alone for success and tries again
 * after others.
 */
export type PingAnswer = 204 | 401 | 404 | 503;

/** What became of a notification; `early` came before its webhook's secret was stored. */
export type PingOutcome = 'accepted' | 'forged' | 'unknown' | 'early' | 'oversized' | 'failed';

/**
 * A successor is pinged before it takes over, and what was replaced still for a while: both are ours, and nothing is
 * drained for them.
 */
const heard: readonly string[] = ['active', 'ready', 'ending'];

const findPinged: PreparedStatement = {
  name: 'find-pinged-webhook',
  text: 'SELECT state, mac_secret_envelope AS envelope, connection_id AS "connectionId" FROM webhooks WHERE id = $1',
};

/**
 * Answered before it is on the disk, since the upstream waits. It is in PostgreSQL, so no death of ours loses it; should
 * PostgreSQL die within the next half second, what it would have had pulled comes with the next pull by the timer.
 */
const wantDrain: PreparedStatement = {
  name: 'want-drain',
  text: `
    UPDATE webhooks SET drain_wanted_at = clock_timestamp(), last_ping_at = clock_timestamp(),
           behind_since = coalesce(behind_since, clock_timestamp())
    WHERE id = $1 AND ${answeredEarly}`,
};

/** Receives the upstream's notifications. They say only "look": what happened is pulled. */
export class Pings {
  readonly #database: DataSource;
  readonly #cipher: SecretCipher;
  readonly #drains: Drains;
  readonly #onForged: (connectionId: number) => void;

  constructor(deps: {
    database: DataSource;
    cipher: SecretCipher;
    drains: Drains;
    /** Told of a wrong signature, with the connection that the webhook is read through. */
    onForged: (connectionId: number) => void;
  }) {
    this.#database = deps.database;
    this.#cipher = deps.cipher;
    this.#drains = deps.drains;
    this.#onForged = deps.onForged;
  }

  /** Answers once the wish for a drain is stored, and before the drain begins. */
  async receive(routeId: string, rawBody: Buffer, macHeader: string | undefined): Promise<PingAnswer> {
    if (!isUuid(routeId)) return 404;
    const [webhook] = await runPrepared<{
      state: string;
      envelope: string | null;
      connectionId: number | null;
    }>(this.#database, findPinged, [routeId]);
    if (webhook?.state === 'creating' || webhook?.state === 'preparing') return 503;
    if (!webhook || !heard.includes(webhook.state) || webhook.envelope === null) return 404;
    const secret = openMacSecret(this.#cipher, routeId, webhook.envelope);
    if (!verifyMac(rawBody, macHeader, secret)) {
      if (webhook.connectionId !== null) this.#onForged(webhook.connectionId);
      return 401;
    }
    await runPrepared(this.#database, wantDrain, [routeId]);
    this.#drains.kick(routeId);
    return 204;
  }
}
