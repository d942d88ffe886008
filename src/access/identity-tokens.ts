import { decodeJwt, errors, jwtVerify, type JWTVerifyResult } from 'jose';
import type { Clock } from '../clock.ts';
import { AppError } from '../errors.ts';
import type { IdentityProvider } from '../identity-provider.ts';
import type { Logger } from '../logger.ts';
import type { Caller } from './caller.ts';
import { callerOfClaims } from './identity-claims.ts';
import { IdentityKeys } from './identity-keys.ts';
import { hashOf } from './key-secret.ts';
import { ProvenTokens } from './proven-tokens.ts';

/** Longest token that is looked at, in characters. */
const maxTokenLength = 8_000;

/** How far the provider's clock may be ahead of ours in `nbf`, in seconds. A token's end is taken exactly. */
const clockToleranceSeconds = 5;

/** Signatures by a key that only the provider has. With a shared secret we could make tokens ourselves. */
const algorithms = [
  ...['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'],
  ...['ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'],
];

/** Access tokens (RFC 9068), and plain ones. What else providers sign, such as a logout, is for other eyes. */
const typeOfToken = /^(application\/)?(at\+)?jwt$/i;

/**
 * What became of a token. `forged`: nothing shows that the provider ever signed it. `unfit`: it is the provider's, but
 * has expired or is not meant for us.
 */
export type TokenOutcome = { caller: Caller } | { refused: 'forged' | 'unfit' };

/** Tells who is calling by a token of the identity provider. */
export class IdentityTokens {
  readonly #provider: IdentityProvider;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #keys: IdentityKeys;
  readonly #proven = new ProvenTokens();

  constructor(deps: { provider: IdentityProvider; clock: Clock; logger: Logger }) {
    this.#provider = deps.provider;
    this.#clock = deps.clock;
    this.#logger = deps.logger;
    this.#keys = new IdentityKeys({ url: deps.provider.jwksUrl, clock: deps.clock, logger: deps.logger });
  }

  /** @throws AppError FORBIDDEN when the token gives no role here, IDENTITY_PROVIDER_UNAVAILABLE */
  async check(token: string): Promise<TokenOutcome> {
    if (token.length > maxTokenLength) return this.#refuse('forged', 'too long');
    const proof = hashOf(token).toString('base64');
    const known = this.#proven.recent(proof, this.#clock.now());
    if (known) return { caller: known };

    const verified = await this.#verify(token);
    if ('refused' in verified) return verified;
    const { payload, protectedHeader } = verified;
    if (protectedHeader.typ !== undefined && !typeOfToken.test(protectedHeader.typ))
      return this.#refuse('unfit', 'typ');
    const caller = callerOfClaims(payload, this.#provider);
    if (!caller) return this.#refuse('unfit', 'sub');
    // jose allows the end the same tolerance as the beginning, but what runs under a token ends with it.
    if (!caller.expiresAt || caller.expiresAt.getTime() <= this.#clock.now())
      return this.#refuse('unfit', 'exp');
    this.#proven.remember(proof, caller);
    return { caller };
  }

  /**
   * Whether the token, or an earlier one of whom it names, was good. It proves nothing: tokens change every hour, and
   * those who were let in must be able to come back with the next while their address is stopped for others' wrong ones.
   */
  isFamiliar(token: string): boolean {
    if (token.length > maxTokenLength) return false;
    try {
      const { sub } = decodeJwt(token);
      return sub !== undefined && this.#proven.knows(`user:${sub}`);
    } catch {
      return false;
    }
  }

  async #verify(token: string): Promise<JWTVerifyResult | { refused: 'forged' | 'unfit' }> {
    try {
      return await jwtVerify(token, this.#keys.keyFor, {
        algorithms,
        issuer: this.#provider.issuer,
        audience: this.#provider.audience,
        requiredClaims: ['exp', 'sub'],
        clockTolerance: clockToleranceSeconds,
        currentDate: new Date(this.#clock.now()),
      });
    } catch (error) {
      // Claims are looked at only when the signature was right.
      if (error instanceof errors.JWTExpired || error instanceof errors.JWTClaimValidationFailed)
        return this.#refuse('unfit', error.claim);
      if (error instanceof errors.JOSEError) return this.#refuse('forged', error.code);
      if (error instanceof AppError) throw error;
      // A key that is too short or damaged: the provider's slip, but nobody else's business.
      this.#logger.warn({ err: error }, 'a key of the identity provider cannot be used');
      return this.#refuse('forged', 'key');
    }
  }

  /** The caller isn't told why; whoever sets up the provider reads it here. The token and its claims stay out of the log. */
  #refuse(refused: 'forged' | 'unfit', reason: string): { refused: 'forged' | 'unfit' } {
    this.#logger.debug({ reason }, 'a token of the identity provider was refused');
    return { refused };
  }
}
