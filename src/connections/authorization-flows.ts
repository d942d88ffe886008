import type { DataSource } from 'typeorm';
import type { Caller } from '../access/caller.ts';
import type { KeptCallers } from '../access/kept-callers.ts';
import type { AuditActor, RecordAudit } from '../audit/audit-event.ts';
import type { Clock } from '../clock.ts';
import { codedErrorOf } from '../database-failure.ts';
import { AppError } from '../errors.ts';
import type { Logger } from '../logger.ts';
import type { ConnectionEntity, ConnectionState } from './connection.entity.ts';
import type { ConnectionSecrets } from './connection-secrets.ts';
import { recordProblem, type Connections } from './connections.ts';
import {
  OAuthFailure,
  problemOfRedirectError,
  type Credentials,
  type OAuthClient,
  type TokenAnswer,
} from './oauth-client.ts';
import type { ProblemCode } from './problem.ts';
import { codeOf, labelOf, type FlowOutcome } from './flow-outcome.ts';
import { keepGrant } from './grant-storing.ts';
import { isSameBrowser, type FlowRow, type StoredFlows } from './stored-flows.ts';

/*
 * One flow, from the mutation to the stored tokens.
 *
 *   begin   an admin asks; the connection's epoch rises, so every older flow is void; a start link is made
 *   open    a browser opens the link, once: it gets a cookie, and is sent to the provider with state and PKCE challenge
 *   finish  the provider sends the browser back: state and cookie must belong to the same flow, the admin who began must
 *           still be one, the code is exchanged, and the pair is stored where the epoch is still the flow's; else revoked
 *
 * Each step can happen on any instance.
 */

export interface Callback {
  state: string | null;
  code: string | null;
  error: string | null;
  /** RFC 9207: who issued the answer, when the provider says so. */
  issuer: string | null;
  /** Of all flows that are open in this browser. */
  browserCookies: readonly string[];
}

interface FlowDependencies {
  database: DataSource;
  connections: Connections;
  secrets: ConnectionSecrets;
  stored: StoredFlows;
  callers: KeptCallers;
  oauth: (credentials: Credentials) => OAuthClient;
  oauthUrl: string;
  publicUrl: string;
  audit: RecordAudit;
  clock: Clock;
  logger: Logger;
  /** Runs after tokens are stored, such as asking who granted them. Its failure changes nothing. */
  afterConnecting: (connectionId: number) => Promise<void>;
}

export class AuthorizationFlows {
  readonly #deps: FlowDependencies;

  constructor(deps: FlowDependencies) {
    this.#deps = deps;
  }

  get redirectUri(): string {
    return `${this.#deps.publicUrl}/oauth/calendly/callback`;
  }

  /** @returns a link that opens once within ten minutes, for the person who may grant access. */
  async begin(
    connection: ConnectionEntity,
    startedBy: Caller,
    redirectTo: string | null,
  ): Promise<{ authorizationUrl: string; expiresAt: Date }> {
    const { stored, publicUrl } = this.#deps;
    const { token, expiresAt } = await stored.begin(connection, startedBy, redirectTo);
    return { authorizationUrl: `${publicUrl}/oauth/calendly/start/${token}`, expiresAt };
  }

  /**
   * @returns where to send the browser, and the cookie it must bring back.
   * @throws AppError FLOW_NOT_FOUND when the link was opened before, is too old or never existed; SECRET_UNREADABLE
   */
  async open(startToken: string): Promise<{ location: string; browserCookie: string }> {
    const { database, connections, secrets, stored, oauth, audit } = this.#deps;
    const flow = await stored.open(startToken);
    if (!flow)
      throw new AppError(
        'FLOW_NOT_FOUND',
        'This link was opened already or is older than ten minutes. Ask for a new one with connectConnection.',
      );

    const connection = await connections.get(flow.connection_id);
    const actor = await this.#starterOf(flow);
    const told = { action: 'openAuthorization' as const, actor, connectionId: connection.id };
    const clientSecret = await secrets.clientSecret(database, connection.id).catch(async (error: unknown) => {
      if (error instanceof AppError && error.code === 'SECRET_UNREADABLE') {
        await this.#fail(flow, actor, connection, 'SECRET_UNREADABLE');
        await audit({ ...told, outcome: 'SECRET_UNREADABLE' });
      }
      throw error;
    });
    const { state, codeChallenge, browserCookie } = await stored.send(flow);
    const location = oauth({ clientId: connection.clientId, clientSecret }).authorizeUrl({
      redirectUri: this.redirectUri,
      scopes: flow.scopes,
      state,
      codeChallenge,
    });
    await audit({ ...told, outcome: 'ok' });
    return { location, browserCookie };
  }

  async finish(callback: Callback): Promise<FlowOutcome> {
    const { stored, audit } = this.#deps;
    const flow = await stored.waitingFor(callback.state);
    if (!flow) return { kind: 'refused', reason: 'UNKNOWN_STATE' };
    const actor = await this.#starterOf(flow);
    const told = { action: 'finishAuthorization' as const, actor, connectionId: flow.connection_id };
    try {
      const outcome = await this.#finish(flow, actor, callback);
      await audit({ ...told, outcome: codeOf(outcome) });
      return outcome;
    } catch (error) {
      await audit({ ...told, outcome: codedErrorOf(error)?.code ?? 'INTERNAL' });
      throw error;
    }
  }

  /** The browser has no key: who began the flow answers for its link. */
  async #starterOf({ started_by: id, starter }: FlowRow): Promise<AuditActor> {
    const caller = await this.#deps.callers.recall(id, starter);
    return { id, name: caller?.name ?? id };
  }

  async #finish(flow: FlowRow, actor: AuditActor, callback: Callback): Promise<FlowOutcome> {
    const { stored, connections, callers, oauthUrl, logger } = this.#deps;
    if (!isSameBrowser(flow, callback.browserCookies)) {
      logger.warn({ connectionId: flow.connection_id }, 'authorization answer brought by another browser');
      return { kind: 'refused', reason: 'OTHER_BROWSER' };
    }
    if (callback.issuer !== null && callback.issuer.replace(/\/+$/, '') !== new URL(oauthUrl).origin)
      return { kind: 'refused', reason: 'WRONG_ISSUER' };

    if (!(await stored.finish(flow))) return { kind: 'refused', reason: 'UNKNOWN_STATE' };
    const starter = await callers.recall(flow.started_by, flow.starter);
    if (!starter?.may('admin') || !starter.sees(flow.connection_id))
      return { kind: 'refused', reason: 'STARTER_GONE' };

    const connection = await connections.find(flow.connection_id);
    if (!connection || connection.epoch !== flow.epoch) return { kind: 'superseded', connection };
    if (callback.error !== null)
      return this.#fail(flow, actor, connection, problemOfRedirectError(callback.error));
    if (!callback.code) return this.#fail(flow, actor, connection, 'INVALID_REQUEST');
    return this.#exchange(flow, actor, connection, callback.code);
  }

  async #exchange(
    flow: FlowRow,
    actor: AuditActor,
    connection: ConnectionEntity,
    code: string,
  ): Promise<FlowOutcome> {
    const { database, secrets, stored, oauth, connections, logger, afterConnecting } = this.#deps;
    let answer: TokenAnswer;
    let client: OAuthClient;
    try {
      client = oauth({
        clientId: connection.clientId,
        clientSecret: await secrets.clientSecret(database, connection.id),
      });
      const codeVerifier = stored.verifierOf(flow);
      answer = await client.exchange({ code, redirectUri: this.redirectUri, codeVerifier });
    } catch (error) {
      if (error instanceof OAuthFailure) return this.#fail(flow, actor, connection, error.problem);
      if (error instanceof AppError && error.code === 'SECRET_UNREADABLE')
        return this.#fail(flow, actor, connection, 'SECRET_UNREADABLE');
      throw error;
    }
    const isStored = await keepGrant(this.#deps, flow, answer).catch(async (error: unknown) => {
      await client.revokePair(answer);
      throw notStored(connection.id, error);
    });
    if (!isStored) {
      await client.revokePair(answer);
      return { kind: 'superseded', connection: await connections.find(connection.id) };
    }
    logger.info({ connectionId: connection.id, startedBy: actor.id }, 'connection connected');
    await afterConnecting(connection.id).catch((error: unknown) =>
      logger.warn(
        { connectionId: connection.id, err: error },
        'the account behind the grant could not be read',
      ),
    );
    return {
      kind: 'connected',
      connection: await connections.get(connection.id),
      startedBy: labelOf(actor),
      redirectTo: flow.redirect_to,
    };
  }

  /** A living grant outlives a failed attempt to renew it; otherwise the failure is the connection's state. */
  async #fail(
    flow: FlowRow,
    actor: AuditActor,
    connection: ConnectionEntity,
    problem: ProblemCode,
  ): Promise<FlowOutcome> {
    const seen = { id: flow.connection_id, epoch: flow.epoch };
    const states: ConnectionState[] = ['configured', 'disconnected', 'error'];
    await recordProblem(this.#deps.database.manager, seen, problem, states);
    this.#deps.logger.warn(
      { connectionId: connection.id, problem, startedBy: actor.id },
      'authorization failed',
    );
    const after = await this.#deps.connections.get(connection.id);
    return {
      kind: 'failed',
      connection: after,
      startedBy: labelOf(actor),
      problem,
      stillConnected: after.state === 'connected',
      redirectTo: flow.redirect_to,
    };
  }
}

/** The pair is revoked by then, so that no grant lives on of which nobody knows. */
function notStored(connectionId: number, error: unknown): AppError {
  if (error instanceof AppError) return error;
  return new AppError(
    'DATABASE_UNAVAILABLE',
    `Access was granted, but it could not be stored because the database does not answer, and was given back. Ask for a new link with connectConnection in a moment.`,
    { details: { connectionId }, cause: error },
  );
}
