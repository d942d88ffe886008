import { createHash, randomBytes } from 'node:crypto';
import type { Clock } from '../clock.ts';
import type { Settings } from '../control/settings.ts';
import type { Collection } from '../state/collection.ts';
import type { State } from '../state/state.ts';
import type { AuthorizationRequest } from './authorization-request.ts';
import type { Grant } from './grant.ts';

/*
 * One authorization, from the page to the exchange:
 *
 *   asked     a checked request is shown to a user; the page carries its ticket
 *   granted   the ticket is spent and there is a code
 *   over      the code was presented once, whatever came of it; or the user denied; or ten minutes have passed
 *
 * The ten minutes run from the request, not from the click on Grant.
 */

export interface PendingRequest {
  request: AuthorizationRequest;
  /** ms */
  requestedAt: number;
}

export interface IssuedCode extends PendingRequest {
  userId: string;
  baseIds: Grant['baseIds'];
}

/** Pages and codes in flight at once; then the oldest are over. */
const MAX_PENDING = 1_000;

/** Consent pages that wait for an answer, and codes that wait for their exchange. */
export class AuthorizationCodes {
  readonly #pending: Collection<PendingRequest>;
  readonly #codes: Collection<IssuedCode>;

  constructor(
    state: State,
    private readonly clock: Clock,
    private readonly settings: Settings,
  ) {
    this.#pending = state.collection('pendingAuthorizations');
    this.#codes = state.collection('authorizationCodes');
  }

  /** Remembers a request while its page is shown. Gives the ticket for the page's form. */
  ask(request: AuthorizationRequest): string {
    const ticket = randomBytes(24).toString('base64url');
    this.#pending.put(ticket, { request, requestedAt: this.clock.now() });
    dropOldest(this.#pending);
    return ticket;
  }

  /** The request behind a ticket; undefined if it is spent, unknown or older than the lifetime of a code. */
  pending(ticket: string): PendingRequest | undefined {
    const pending = this.#pending.get(ticket);
    return pending && this.#isYoung(pending) ? pending : undefined;
  }

  /** Spends the ticket. */
  close(ticket: string): void {
    this.#pending.delete(ticket);
  }

  issue(pending: PendingRequest, userId: string, baseIds: Grant['baseIds']): string {
    const code = `oac.v1.${randomBytes(32).toString('base64url')}`;
    this.#codes.put(code, { ...pending, userId, baseIds });
    dropOldest(this.#codes);
    return code;
  }

  /** Takes the code out for good. Undefined if it is unknown, used or too old. */
  redeem(code: string): IssuedCode | undefined {
    const issued = this.#codes.get(code);
    this.#codes.delete(code);
    return issued && this.#isYoung(issued) ? issued : undefined;
  }

  #isYoung({ requestedAt }: PendingRequest): boolean {
    return this.clock.now() - requestedAt < this.settings.limits.codeLifetimeMs;
  }
}

export function s256(verifier: string): string {
  return createHash('sha256').update(verifier).digest('base64url');
}

function dropOldest<T>(collection: Collection<T>): void {
  if (collection.size <= MAX_PENDING) return;
  const oldest = collection.entries().next();
  if (!oldest.done) collection.delete(oldest.value[0]);
}
