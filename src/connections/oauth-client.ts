import { AuthorizationCode, type ModuleOptions } from 'simple-oauth2';
import { z } from 'zod';
import type { ProblemCode } from './problem.ts';

/** A token call that takes longer is given up; its outcome is then unknown. */
export const tokenCallTimeoutMs = 15_000;
const maxAnswerBytes = 100_000;

export interface Credentials {
  clientId: string;
  clientSecret: string;
}

export interface TokenAnswer {
  accessToken: string;
  /** Null when the answer carries none: the one we have stays in force. */
  refreshToken: string | null;
  /** Seconds. */
  expiresIn: number;
  refreshExpiresIn: number | null;
  scopes: string[];
}

/**
 * Why a token call failed.
 * `refused`: the provider said no, asking again is pointless. `already_refreshed`: a 409, somebody else has the newer
 * pair. `unavailable`: it surely had no effect. `unknown`: it may have had its effect.
 */
export class OAuthFailure extends Error {
  readonly kind: 'refused' | 'already_refreshed' | 'unavailable' | 'unknown';
  readonly problem: ProblemCode;
  constructor(kind: OAuthFailure['kind'], problem: ProblemCode, what: string) {
    super(what);
    this.name = 'OAuthFailure';
    this.kind = kind;
    this.problem = problem;
  }
}

const tokenAnswer = z.object({
  access_token: z.string().min(1),
  refresh_token: z.string().min(1).nullish(),
  // The provider documents "Bearer " with a trailing space.
  token_type: z.string().refine((type) => type.trim().toLowerCase() === 'bearer'),
  expires_in: z.number().positive().default(3600),
  refresh_expires_in: z.number().positive().nullish(),
  scope: z.string().default(''),
});

/** The provider's OAuth endpoints for one set of credentials: Basic authentication, form bodies, JSON answers. */
export class OAuthClient {
  readonly #client: AuthorizationCode;
  readonly #authorizeUrl: string;

  constructor(oauthUrl: string, credentials: Credentials) {
    const { origin, pathname } = new URL(oauthUrl);
    const path = `${pathname.replace(/\/+$/, '')}/oauth2/v1`;
    this.#authorizeUrl = `${origin}${path}/authorize`;
    this.#client = createClient({
      client: { id: credentials.clientId, secret: credentials.clientSecret },
      auth: {
        tokenHost: origin,
        tokenPath: `${path}/token`,
        revokePath: `${path}/revoke`,
        authorizeHost: origin,
        authorizePath: `${path}/authorize`,
      },
      options: { credentialsEncodingMode: 'loose' },
      http: { timeout: tokenCallTimeoutMs, maxBytes: maxAnswerBytes, redirects: false },
    });
  }

  authorizeUrl(request: {
    redirectUri: string;
    scopes: string[];
    state: string;
    codeChallenge: string;
  }): string {
    const url = new URL(
      this.#client.authorizeURL({
        redirect_uri: request.redirectUri,
        scope: request.scopes,
        state: request.state,
      }),
    );
    if (!url.href.startsWith(this.#authorizeUrl))
      throw new Error('The authorization URL left the configured provider.');
    url.searchParams.set('code_challenge', request.codeChallenge);
    url.searchParams.set('code_challenge_method', 'S256');
    return url.href;
  }

  /** @throws OAuthFailure */
  async exchange(request: { code: string; redirectUri: string; codeVerifier: string }): Promise<TokenAnswer> {
    // The library's types know nothing of PKCE; it sends every parameter that it is given.
    const parameters = {
      code: request.code,
      redirect_uri: request.redirectUri,
      code_verifier: request.codeVerifier,
    };
    return this.#ask(() => this.#client.getToken(parameters));
  }

  /** @throws OAuthFailure */
  async refresh(refreshToken: string): Promise<TokenAnswer> {
    return this.#ask(() =>
      this.#client.createToken({ refresh_token: refreshToken, access_token: '' }).refresh(),
    );
  }

  /** Best effort: the provider documents no such endpoint. @returns whether it confirmed both. */
  async revokePair({
    accessToken,
    refreshToken,
  }: Pick<TokenAnswer, 'accessToken' | 'refreshToken'>): Promise<boolean> {
    const revoked = await this.#revoke(accessToken);
    return (refreshToken === null || (await this.#revoke(refreshToken))) && revoked;
  }

  async #revoke(token: string): Promise<boolean> {
    try {
      await this.#client.createToken({ access_token: token }).revoke('access_token', { json: false });
      return true;
    } catch {
      return false;
    }
  }

  async #ask(call: () => Promise<{ token: unknown }>): Promise<TokenAnswer> {
    let token: unknown;
    try {
      ({ token } = await withinCallTimeout(call()));
    } catch (error) {
      throw judge(error);
    }
    const answer = tokenAnswer.safeParse(token);
    // A pair was issued, but we can't read it: the old one may be dead by now.
    if (!answer.success)
      throw new OAuthFailure(
        'unknown',
        'PROVIDER_UNAVAILABLE',
        'The token endpoint answered in an unknown form',
      );
    const { data } = answer;
    return {
      accessToken: data.access_token,
      refreshToken: data.refresh_token ?? null,
      expiresIn: data.expires_in,
      refreshExpiresIn: data.refresh_expires_in ?? null,
      scopes: data.scope.split(' ').filter(Boolean),
    };
  }
}

/** The library's timeout counts the wait for the headers and the reading of the body apart; leases allow for one. */
async function withinCallTimeout<T>(call: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error('The token endpoint took too long')), tokenCallTimeoutMs);
  });
  try {
    return await Promise.race([call, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** The library's own words about a faulty configuration quote the client secret, so they go no further. */
function createClient(options: ModuleOptions): AuthorizationCode {
  try {
    return new AuthorizationCode(options);
  } catch {
    throw new Error('The OAuth client refuses its configuration.');
  }
}

const errorAnswer = z.object({
  data: z.object({ isResponseError: z.boolean().optional(), payload: z.unknown().optional() }).nullish(),
  output: z.object({ statusCode: z.number() }).optional(),
  code: z.string().optional(),
});

const problemByError: Record<string, ProblemCode> = {
  invalid_client: 'INVALID_CLIENT',
  invalid_grant: 'INVALID_GRANT',
  invalid_scope: 'INVALID_SCOPE',
  invalid_request: 'INVALID_REQUEST',
  unauthorized_client: 'INVALID_CLIENT',
  unsupported_grant_type: 'INVALID_REQUEST',
};

/** Nothing was sent when the connection could not even be made. */
const neverSent = /ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH/;

/** Only the code of an OAuth error is read: a description could carry anything into our messages. */
function judge(error: unknown): OAuthFailure {
  const parsed = errorAnswer.safeParse(error);
  const { data, output, code } = parsed.success ? parsed.data : {};
  if (data?.isResponseError && output) {
    const status = output.statusCode;
    if (status === 409)
      return new OAuthFailure(
        'already_refreshed',
        'PROVIDER_UNAVAILABLE',
        'The token was refreshed a moment ago',
      );
    const named = oauthErrorOf(data.payload);
    const problem = named === null ? undefined : problemByError[named];
    if (problem && status < 500)
      return new OAuthFailure('refused', problem, `The token endpoint answered ${status} ${named}`);
    if (status === 401)
      return new OAuthFailure('refused', 'INVALID_CLIENT', 'The token endpoint answered 401');
    // A 5xx may come from in front of the work or from behind it.
    if (status === 429)
      return new OAuthFailure('unavailable', 'PROVIDER_UNAVAILABLE', 'The token endpoint answered 429');
    return new OAuthFailure('unknown', 'PROVIDER_UNAVAILABLE', `The token endpoint answered ${status}`);
  }
  const text = `${code ?? ''} ${error instanceof Error ? error.message : ''}`;
  return new OAuthFailure(
    neverSent.test(text) ? 'unavailable' : 'unknown',
    'PROVIDER_UNAVAILABLE',
    'The token endpoint could not be reached',
  );
}

function oauthErrorOf(payload: unknown): string | null {
  let body = payload;
  if (Buffer.isBuffer(body)) {
    try {
      body = JSON.parse(body.toString('utf8')) as unknown;
    } catch {
      return null;
    }
  }
  const parsed = z.object({ error: z.string().max(100) }).safeParse(body);
  return parsed.success ? parsed.data.error : null;
}

/** The problem that an `error` in the redirect of the authorization endpoint stands for. */
export function problemOfRedirectError(error: string): ProblemCode {
  if (error === 'access_denied') return 'ACCESS_DENIED';
  if (error === 'server_error' || error === 'temporarily_unavailable') return 'PROVIDER_UNAVAILABLE';
  return problemByError[error] ?? 'INVALID_REQUEST';
}
