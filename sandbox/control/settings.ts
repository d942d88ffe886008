import type { ApiError } from '../api-error.ts';
import { DEFAULT_FORMULA_READINGS, type FormulaReadings } from '../formula/readings.ts';
import { controlError } from './control-error.ts';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const DAY = 24 * 60 * MINUTE;

/** Numbers that `POST /_control/limits` changes. Names carry the unit; times are by the sandbox's own clock. */
export const DEFAULT_LIMITS = {
  /** Calls per second and base; 0 lifts the limit. */
  requestsPerSecond: 5,
  /** How long a base answers 429 after it was called too often. */
  penaltyMs: 30 * SECOND,
  /** Most records on a page, below the documented 100, to force paging on small data. */
  pageCap: 100,
  /** Most bases on a page of the base list. */
  basePageCap: 1_000,
  /** How long the state behind a list offset lives without being used. */
  iteratorLifetimeMs: 5 * MINUTE,
  /** Most records in one create, update or delete. */
  recordsPerWrite: 10,
  accessTokenLifetimeMs: 60 * MINUTE,
  refreshTokenLifetimeMs: 60 * DAY,
  /** How long after the authorization request its code may be exchanged. */
  codeLifetimeMs: 10 * MINUTE,
  /** How long a refresh token that was just used answers 409 instead of ending the grant. */
  refreshGraceMs: 10 * SECOND,
  /** More refreshes than this in one second with one token end the grant. */
  refreshesPerSecond: 10,
  webhooksPerBase: 10,
  webhooksPerClientAndBase: 2,
  webhookLifetimeMs: 7 * DAY,
  /** How long an expired webhook and its payloads stay readable. */
  webhookReadableMs: 7 * DAY,
  payloadRetentionMs: 7 * DAY,
  /** Most payloads in one answer. */
  payloadsPerPage: 50,
  /** Wait before the first retry of a failed ping; each further one doubles it. */
  retryBaseMs: 10 * SECOND,
  /** Retries of a ping before notifications are switched off. */
  retryCount: 13,
  /** How long a receiver may take to answer a ping, in real time. */
  pingTimeoutMs: 25 * SECOND,
  /** How long pings are held back so that several changes share one, in real time. */
  pingCoalesceMs: 20,
  /** Added to every answer, in real time. */
  latencyMs: 0,
  /** URLs of this length and more are refused. */
  urlCharacters: 16_000,
} satisfies Record<string, number>;

/** Values each switch may take; the first one is the default. The readings of the formula language are switches too. */
export const SWITCH_VALUES = {
  /** `token_type` as the documentation spells it, "Bearer " with a trailing space. */
  tokenTypeTrailingSpace: [false, true],
  /** Form of the 429 body: the documented object, or the array that is seen as well. */
  rateLimitBody: ['object', 'array'],
  /** Send `Retry-After` (seconds left) with a 429. */
  retryAfterHeader: [false, true],
  /** The monthly cap is reached: data calls answer 429 PUBLIC_API_BILLING_LIMIT_EXCEEDED, meta calls go on. */
  monthlyCapReached: [false, true],
  /** Whether the undocumented `POST /oauth2/v1/revoke` exists. */
  revokeEndpoint: [true, false],
  /** A duplicate refresh inside the grace period answers 409; without it, it ends the grant at once. */
  duplicateRefreshConflict: [true, false],
  /** Error codes without `error_description` at the token endpoint. */
  omitErrorDescription: [false, true],
  /** `code_challenge` and its method in the success redirect, as the reference page still lists. */
  challengeInRedirect: [false, true],
  /** `error.type` of the 401 for an unknown, expired or revoked token. */
  invalidTokenType: ['UNAUTHORIZED', 'AUTHENTICATION_REQUIRED'],
  /** Status of a body that is not JSON. */
  unparseableBodyStatus: [422, 400],
  /** How a 404 for an undefined route spells NOT_FOUND. */
  notFoundBody: ['string', 'object'],
  /** Which of the three reported answers a missing record gets. */
  missingRecord: ['NOT_FOUND', 'MODEL_ID_NOT_FOUND', 'INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND'],
  /** Status of the webhook calls that answer with an empty body. */
  emptyWebhookStatus: [200, 204],
  /** A first ping right after a webhook is created. */
  pingOnCreate: [false, true],
  /** Whether whoami works without any scope (`true`) or needs user.email:read. */
  whoamiNeedsNoScope: [true, false],
} as const satisfies Record<string, readonly (string | number | boolean)[]>;

export type Limits = { -readonly [Name in keyof typeof DEFAULT_LIMITS]: number };
type Widen<Values> = Values extends readonly (infer Value)[] ? Value : never;
export type Switches = {
  -readonly [Name in keyof typeof SWITCH_VALUES]: Widen<(typeof SWITCH_VALUES)[Name]>;
} & FormulaReadings;

/** The adjustable behaviour of the sandbox. Read at use, never cached, so that a change acts on the next call. */
export class Settings {
  limits: Limits = { ...DEFAULT_LIMITS };
  switches: Switches = defaultSwitches();

  /** Throws ApiError 400 that names the known keys, or the key whose value is no number from 0 up. Changes all or nothing. */
  changeLimits(changes: Record<string, unknown>): void {
    for (const [name, value] of Object.entries(changes)) {
      if (!Object.hasOwn(DEFAULT_LIMITS, name)) throw unknownKey('limit', name, Object.keys(DEFAULT_LIMITS));
      if (typeof value !== 'number' || !Number.isFinite(value) || value < 0) {
        throw controlError(`The limit ${name} must be a number from 0 up`);
      }
    }
    this.limits = { ...this.limits, ...(changes as Partial<Limits>) };
  }

  /** Throws ApiError 400 that names the known keys or the values a switch may take. Changes all or nothing. */
  changeSwitches(changes: Record<string, unknown>): void {
    for (const [name, value] of Object.entries(changes)) {
      const values = switchValues(name);
      if (!values) throw unknownKey('switch', name, Object.keys(defaultSwitches()));
      if (!values.includes(value)) {
        const choices = values.map((choice) => JSON.stringify(choice)).join(', ');
        throw controlError(`The switch ${name} must be one of ${choices}`);
      }
    }
    this.switches = { ...this.switches, ...(changes as Partial<Switches>) };
  }

  reset(): void {
    this.limits = { ...DEFAULT_LIMITS };
    this.switches = defaultSwitches();
  }
}

/** The values a switch may take; undefined for an unknown one. Readings of the formula language are either or. */
function switchValues(name: string): readonly unknown[] | undefined {
  if (Object.hasOwn(SWITCH_VALUES, name)) return SWITCH_VALUES[name as keyof typeof SWITCH_VALUES];
  return Object.hasOwn(DEFAULT_FORMULA_READINGS, name) ? [true, false] : undefined;
}

function defaultSwitches(): Switches {
  const defaults = Object.entries(SWITCH_VALUES).map(([name, values]) => [name, values[0]]);
  return { ...DEFAULT_FORMULA_READINGS, ...Object.fromEntries(defaults) } as Switches;
}

function unknownKey(kind: string, name: string, known: string[]): ApiError {
  return controlError(`Unknown ${kind} "${name}". Known: ${known.join(', ')}`);
}
