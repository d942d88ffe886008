import { isUpstreamId } from '../calendly/ids.ts';
import { AppError } from '../errors.ts';
import type { IdentityProvider } from '../identity-provider.ts';
import { Caller, roles, type Role } from './caller.ts';

/** What a token says. Its signature has been checked, but its claims may have any form. */
export type Claims = Record<string, unknown>;

/** Longest subject that is taken, in characters: the audit log keeps 200 of a caller's id, which has five before it. */
const maxSubjectLength = 195;

/** Longest name that is shown of a person, in characters; the rest is cut off. */
const maxShownNameLength = 100;

/** The last moment that can be written as a DateTime. A token that ends later ends then. */
const lastMoment = Date.UTC(9999, 11, 31, 23, 59, 59);

/** What a claim of reach says of a person who reaches everything. */
const everything = '*';

/**
 * The caller that a token stands for, from claims whose issuer, audience and times have been checked.
 * @returns null when it names no usable subject or end.
 * @throws AppError FORBIDDEN when it gives no role, or a reach that cannot be read.
 */
export function callerOfClaims(claims: Claims, provider: IdentityProvider): Caller | null {
  const { sub, exp } = claims;
  if (typeof exp !== 'number' || typeof sub !== 'string' || !isSubject(sub)) return null;
  return new Caller({
    id: `user:${sub}`,
    name: nameOf(claims) ?? sub.slice(0, maxShownNameLength),
    role: roleOf(claims, provider.roleClaim),
    connectionIds: reachOf(claims, provider.connectionsClaim, connectionIdOf),
    baseIds: reachOf(claims, provider.basesClaim, baseIdOf),
    expiresAt: new Date(Math.min(exp * 1_000, lastMoment)),
  });
}

/**
 * A claim of exactly this name, or else, since providers nest them, one inside of others: `realm_access.roles` is the
 * member `roles` of `realm_access`. A name with `://` is never taken apart.
 */
export function findClaim(claims: Claims, name: string): unknown {
  const member = (from: unknown, key: string): unknown =>
    typeof from === 'object' && from !== null && Object.hasOwn(from, key) ? (from as Claims)[key] : undefined;
  const whole = member(claims, name);
  if (whole !== undefined || name.includes('://')) return whole;
  return name.split('.').reduce<unknown>(member, claims);
}

/** It is part of the caller's id, which stands in logs and in a header-sized text. */
function isSubject(sub: string): boolean {
  return sub.length <= maxSubjectLength && /^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$/.test(sub);
}

function nameOf({ name, email }: Claims): string | null {
  for (const given of [name, email]) {
    // Nothing that moves a cursor or turns the direction of the text around it.
    const shown = typeof given === 'string' ? given.replace(/\p{C}/gu, '').trim() : '';
    if (shown !== '') return [...shown].slice(0, maxShownNameLength).join('');
  }
  return null;
}

/** Of several roles the highest; names that are none of ours are for other programs. */
function roleOf(claims: Claims, name: string): Role {
  const given = findClaim(claims, name);
  const names: unknown[] = Array.isArray(given) ? given : [given];
  const highest = roles.findLast((role) => names.includes(role));
  if (highest) return highest;
  throw new AppError(
    'FORBIDDEN',
    `Your account has no role here: the claim "${name}" of its token must be, or contain, ${roles.join(', ')}. Ask whoever manages the identity provider for one.`,
    { details: { claim: name } },
  );
}

/**
 * A configured claim must be there: a provider that leaves it out by mistake must not widen anybody's reach.
 * @returns null for everything.
 */
function reachOf<Id>(
  claims: Claims,
  name: string | null,
  idOf: (given: unknown) => Id | undefined,
): Id[] | null {
  if (name === null) return null;
  const given = findClaim(claims, name);
  const list: unknown[] = Array.isArray(given) ? given : [given];
  if (list.includes(everything)) return null;
  const ids = new Set<Id>();
  for (const one of list) {
    const id = idOf(one);
    if (id === undefined) throw unreadableReach(name);
    ids.add(id);
  }
  return [...ids];
}

/** Some providers can only say texts. */
function connectionIdOf(given: unknown): number | undefined {
  const id = typeof given === 'string' && /^[1-9]\d{0,9}$/.test(given) ? Number(given) : given;
  return typeof id === 'number' && Number.isInteger(id) && id >= 1 && id <= 2_147_483_647 ? id : undefined;
}

function baseIdOf(given: unknown): string | undefined {
  return typeof given === 'string' && isUpstreamId('app', given) ? given : undefined;
}

function unreadableReach(name: string): AppError {
  return new AppError(
    'FORBIDDEN',
    `The claim "${name}" of your token does not say what you may reach: it must be a list of ids, or "${everything}". Ask whoever manages the identity provider to add it.`,
    { details: { claim: name } },
  );
}
