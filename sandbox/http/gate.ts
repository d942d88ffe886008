import type { IncomingHttpHeaders } from 'node:http';
import { ApiError, notPermittedOrNotFound } from '../api-error.ts';
import type { BaseDoc } from '../bases/documents.ts';
import type { SandboxContext } from '../context.ts';
import { suffices, type Grant } from '../oauth/grant.ts';
import { RateLimit } from './rate-limit.ts';
import type { RouteMatch } from './router.ts';

/** Calls that go on when the monthly cap is reached. */
const META_ENDPOINT_PATH = /^\/v0\/meta\//;

/**
 * Who may call what, and how often. In this order: a living token (401), the base's rate (429), then scopes, grant and
 * role (403). A refused 403 has used up its place in the rate, as any call that names the base has.
 */
export class Gate {
  readonly #rateLimit: RateLimit;

  constructor(private readonly context: SandboxContext) {
    this.#rateLimit = new RateLimit(context.clock, context.settings);
  }

  /** The grant of the call, or undefined on a route that asks for none. Throws ApiError. */
  admit({ route, params }: RouteMatch, path: string, headers: IncomingHttpHeaders): Grant | undefined {
    if (!route.scopes) return undefined;
    const grant = this.#authenticate(headers);
    const base = this.#bases().get(params.baseId ?? '');
    if (base) this.#limitRate(base.id);
    const isMeta = META_ENDPOINT_PATH.test(path);
    if (this.context.settings.switches.monthlyCapReached && params.baseId !== undefined && !isMeta) {
      throw monthlyCapReached();
    }
    if (!route.scopes.every((scope) => grant.scopes.includes(scope))) throw notPermittedOrNotFound();
    if (params.baseId !== undefined) {
      if (!base || !this.context.grants.mayUse(grant, base.id)) throw notPermittedOrNotFound();
      const role = this.context.users.roleIn(grant.userId, base.id);
      if (!suffices(role, 'read')) throw notPermittedOrNotFound();
      if (!suffices(role, route.baseRole ?? 'read')) throw notPermitted();
    }
    return grant;
  }

  /** Forgets who called how often; penalties end. */
  reset(): void {
    this.#rateLimit.reset();
  }

  #authenticate(headers: IncomingHttpHeaders): Grant {
    const token = /^Bearer +(\S+) *$/i.exec(headers.authorization ?? '')?.[1];
    if (token === undefined) throw new ApiError(401, 'AUTHENTICATION_REQUIRED', 'Authentication required');
    const grant = this.context.grants.byAccessToken(token);
    if (grant) return grant;
    throw new ApiError(401, this.context.settings.switches.invalidTokenType, 'Invalid authentication token');
  }

  #limitRate(baseId: string): void {
    const waitMs = this.#rateLimit.admit(baseId);
    if (waitMs === null) return;
    this.context.calls.countLimited(baseId);
    throw new RateLimited(waitMs, this.context.settings.switches.rateLimitBody);
  }

  #bases() {
    return this.context.state.collection<BaseDoc>('bases');
  }
}

/** 429 for the rate of a base. Carries how long the penalty still lasts, for `Retry-After`. */
export class RateLimited extends ApiError {
  constructor(
    readonly waitMs: number,
    form: 'object' | 'array',
  ) {
    super(429, 'RATE_LIMIT_REACHED', 'Rate limit exceeded. Please try again later', form);
  }
}

function monthlyCapReached(): ApiError {
  return new ApiError(
    429,
    'PUBLIC_API_BILLING_LIMIT_EXCEEDED',
    "API billing plan limit exceeded. You've reached the maximum number of requests allowed for this month.",
  );
}

/** 403 for a user who sees the base but may not do this there. */
function notPermitted(): ApiError {
  return new ApiError(403, 'INVALID_PERMISSIONS', 'You are not permitted to perform this operation');
}
