import { randomBytes } from 'node:crypto';
import type { Clock } from '../clock.ts';
import type { Settings } from '../control/settings.ts';
import type { Collection } from '../state/collection.ts';
import type { State } from '../state/state.ts';
import type { Grant } from './grant.ts';
import { IssuedSecrets } from './issued-secrets.ts';
import { OAuthError } from './oauth-error.ts';

/*
 * A grant has at most one living pair of tokens. Refreshing replaces the pair: from then on the previous access token is
 * unknown and the previous refresh token is *used*. What happens when a used one comes again depends on time:
 *
 *   within the grace period      409, the grant lives on (the other one of two racing refreshes)
 *   later                        the token was copied: the grant ends, invalid_grant
 *   more than 10 in one second   the grant ends, invalid_grant; this counts the first use too
 *
 * A grant that ended takes its tokens with it. An ended or expired refresh token is invalid_grant for ever.
 */

export interface TokenPair {
  accessToken: string;
  refreshToken: string;
  scopes: string[];
}

interface AccessToken {
  grantId: string;
  scopes: string[];
  /** Null for a personal access token, which does not expire. */
  expiresAt: number | null;
}

interface RefreshToken {
  grantId: string;
  accessToken: string;
  scopes: string[];
  expiresAt: number;
  /** When it was exchanged for the next pair, in ms. */
  usedAt: number | null;
}

/** The client id under which personal access tokens are kept. */
export const PERSONAL_CLIENT_ID = 'personalAccessToken';
const REFRESH_WINDOW_MS = 1_000;
/** Refresh tokens whose request times are remembered. */
const MAX_TIMED_TOKENS = 10_000;
/** Grants kept; then the oldest end. */
const MAX_GRANTS = 10_000;
const TOKEN_BYTES = 32;

/** Consents and the tokens that belong to them. */
export class Grants {
  readonly issued: IssuedSecrets;
  readonly #grants: Collection<Grant>;
  readonly #accessTokens: Collection<AccessToken>;
  readonly #refreshTokens: Collection<RefreshToken>;
  readonly #refreshTimes = new Map<string, number[]>();

  constructor(
    private readonly state: State,
    private readonly clock: Clock,
    private readonly settings: Settings,
  ) {
    this.issued = new IssuedSecrets(state);
    this.#grants = state.collection('grants');
    this.#accessTokens = state.collection('accessTokens');
    this.#refreshTokens = state.collection('refreshTokens');
  }

  list(): Grant[] {
    return [...this.#grants.values()];
  }

  get(grantId: string): Grant | undefined {
    return this.#grants.get(grantId);
  }

  create(consent: Pick<Grant, 'clientId' | 'userId' | 'scopes' | 'baseIds'>): Grant {
    const grant: Grant = {
      id: `grt${randomBytes(12).toString('base64url')}`,
      ...consent,
      createdAt: this.clock.iso(),
    };
    this.#grants.put(grant.id, grant);
    if (this.#grants.size > MAX_GRANTS) {
      const oldest = this.#grants.entries().next();
      if (!oldest.done) this.end(oldest.value[0]);
    }
    return grant;
  }

  /** Changes which bases the grant reaches, as its user can at any time. */
  setBases(grantId: string, baseIds: Grant['baseIds']): boolean {
    const grant = this.#grants.get(grantId);
    if (grant) this.#grants.put(grantId, { ...grant, baseIds });
    return grant !== undefined;
  }

  mayUse(grant: Grant, baseId: string): boolean {
    return grant.baseIds === 'all' || grant.baseIds.includes(baseId);
  }

  issuePair(grantId: string, scopes: string[]): TokenPair {
    const { accessTokenLifetimeMs, refreshTokenLifetimeMs } = this.settings.limits;
    const now = this.clock.now();
    const accessToken = this.#newToken('oaa');
    const refreshToken = this.#newToken('oar');
    this.state.atomically(() => {
      this.#accessTokens.put(accessToken, { grantId, scopes, expiresAt: now + accessTokenLifetimeMs });
      const expiresAt = now + refreshTokenLifetimeMs;
      this.#refreshTokens.put(refreshToken, { grantId, accessToken, scopes, expiresAt, usedAt: null });
      this.issued.record('accessToken', accessToken);
      this.issued.record('refreshToken', refreshToken);
    });
    return { accessToken, refreshToken, scopes };
  }

  /** A token without an end and without a refresh token, as a user makes for themselves. */
  issuePersonalToken(userId: string, scopes: string[], baseIds: Grant['baseIds']): string {
    const grant = this.create({ clientId: PERSONAL_CLIENT_ID, userId, scopes, baseIds });
    const token = this.#newToken('pat');
    this.#accessTokens.put(token, { grantId: grant.id, scopes, expiresAt: null });
    this.issued.record('personalAccessToken', token);
    return token;
  }

  /** The grant behind a living access token, with the scopes of the token; undefined for any other token. */
  byAccessToken(token: string): Grant | undefined {
    const access = this.#accessTokens.get(token);
    if (!access || (access.expiresAt !== null && access.expiresAt <= this.clock.now())) return undefined;
    const grant = this.#grants.get(access.grantId);
    return grant && { ...grant, scopes: access.scopes };
  }

  /** Exchanges a refresh token for a new pair. Throws OAuthError as the rules on top of this file say. */
  refresh(token: string, clientId: string, requestedScopes: string[] | null): TokenPair {
    const stored = this.#refreshTokens.get(token);
    const grant = stored && this.#grants.get(stored.grantId);
    if (!stored || !grant || grant.clientId !== clientId) throw invalidRefreshToken();
    if (this.#refreshesInLastSecond(token) > this.settings.limits.refreshesPerSecond) {
      this.end(grant.id);
      throw new OAuthError('invalid_grant', 'The grant was revoked: too many refreshes in one second');
    }
    const now = this.clock.now();
    if (stored.usedAt !== null) throw this.#reuse(stored, grant, now);
    if (stored.expiresAt <= now) throw invalidRefreshToken();
    const scopes = requestedScopes ?? stored.scopes;
    if (!scopes.every((scope) => stored.scopes.includes(scope))) {
      throw new OAuthError('invalid_scope', 'The scope is wider than that of the refresh token');
    }
    return this.state.atomically(() => {
      this.#accessTokens.delete(stored.accessToken);
      this.#refreshTokens.put(token, { ...stored, usedAt: now });
      return this.issuePair(grant.id, scopes);
    });
  }

  /** Ends what the token belongs to: a refresh token its grant, an access token itself. Other clients' tokens are left alone. */
  revokeToken(token: string, clientId: string | null): boolean {
    const refresh = this.#refreshTokens.get(token);
    const grantId = refresh?.grantId ?? this.#accessTokens.get(token)?.grantId;
    const grant = grantId === undefined ? undefined : this.#grants.get(grantId);
    if (!grant || (clientId !== null && grant.clientId !== clientId)) return false;
    if (refresh) this.end(grant.id);
    else this.#accessTokens.delete(token);
    return true;
  }

  /** Ends a grant with all its tokens. */
  end(grantId: string): boolean {
    return this.state.atomically(() => {
      for (const [token, access] of this.#accessTokens.entries()) {
        if (access.grantId === grantId) this.#accessTokens.delete(token);
      }
      for (const [token, refresh] of this.#refreshTokens.entries()) {
        if (refresh.grantId === grantId) this.#refreshTokens.delete(token);
      }
      return this.#grants.delete(grantId);
    });
  }

  #reuse(stored: RefreshToken, grant: Grant, now: number): OAuthError {
    const { limits, switches } = this.settings;
    const sinceUseMs = now - (stored.usedAt ?? now);
    if (switches.duplicateRefreshConflict && sinceUseMs <= limits.refreshGraceMs) {
      return new OAuthError('conflict', 'This refresh token was used a moment ago', 409);
    }
    this.end(grant.id);
    return new OAuthError('invalid_grant', 'The refresh token was used before; the grant was revoked');
  }

  /** Counts this request in. */
  #refreshesInLastSecond(token: string): number {
    const now = this.clock.now();
    const recent = (this.#refreshTimes.get(token) ?? []).filter((time) => time > now - REFRESH_WINDOW_MS);
    recent.push(now);
    this.#refreshTimes.delete(token);
    this.#refreshTimes.set(token, recent);
    if (this.#refreshTimes.size > MAX_TIMED_TOKENS) {
      const oldest = this.#refreshTimes.keys().next();
      if (!oldest.done) this.#refreshTimes.delete(oldest.value);
    }
    return recent.length;
  }

  /** Opaque, with more characters than any fixed pattern would allow for. */
  #newToken(kind: string): string {
    return `${kind}.v1.${randomBytes(TOKEN_BYTES).toString('base64url')}`;
  }
}

function invalidRefreshToken(): OAuthError {
  return new OAuthError('invalid_grant', 'The refresh token is expired, used or revoked');
}
