import { randomBytes } from 'node:crypto';
import { controlError } from './control-error.ts';

/*
 * A fault is a rule. Of the calls that match it, the first `after` pass, the next `times` are spoiled, then it is spent.
 * The oldest rule that is due spoils a call; younger ones that match do not count it. `effect` says whether a write takes
 * place: `before` spoils the call instead of handling it, `after` handles it and spoils only the answer. Deleting a rule
 * ends the waits that it has begun, so that a call can be held until something else has happened.
 */

export const FAULT_KINDS = ['status', 'timeout', 'reset', 'malformed', 'delay'] as const;
export type FaultKind = (typeof FAULT_KINDS)[number];

export interface Fault {
  id: string;
  match: { method?: string; path?: string };
  after: number;
  /** Null: until it is deleted. */
  times: number | null;
  kind: FaultKind;
  effect: 'before' | 'after';
  status: number;
  body?: unknown;
  contentType?: string;
  headers?: Record<string, string>;
  /** Wait before the spoiled answer, in real time. */
  delayMs: number;
  /** Calls that matched so far. */
  matched: number;
  /** Calls spoiled so far. */
  applied: number;
}

/** A rule that spoils a call now. */
export interface DueFault {
  fault: Fault;
  /** Fires when the rule is deleted. */
  deleted: AbortSignal;
}

const MAX_FAULTS = 200;
const MAX_DELAY_MS = 600_000;
const MAX_PATTERN_CHARACTERS = 500;
const REGEX_PREFIX = 'regex:';
const KNOWN_KEYS = [
  'match',
  'after',
  'times',
  'kind',
  'effect',
  'status',
  'body',
  'contentType',
  'headers',
  'delayMs',
];

/** The rules by which calls are spoiled. */
export class Faults {
  readonly #faults: { fault: Fault; path: RegExp | null; deletion: AbortController }[] = [];

  /**
   * Adds a rule. `match.path` is a glob (`*` within a segment, `**` over several) or `regex:` and a regular expression
   * found anywhere in the path; `match.method` is one method. Left out: any. Throws ApiError 400.
   */
  add(input: unknown): Fault {
    const fault = readFault(input);
    if (this.#faults.length >= MAX_FAULTS)
      throw controlError(`There are ${MAX_FAULTS} faults already; delete some first`);
    const path = fault.match.path === undefined ? null : pathPattern(fault.match.path);
    this.#faults.push({ fault, path, deletion: new AbortController() });
    return fault;
  }

  list(): Fault[] {
    return this.#faults.map(({ fault }) => fault);
  }

  delete(id: string): boolean {
    const index = this.#faults.findIndex(({ fault }) => fault.id === id);
    const [removed] = index >= 0 ? this.#faults.splice(index, 1) : [];
    removed?.deletion.abort();
    return removed !== undefined;
  }

  clear(): void {
    for (const { deletion } of this.#faults.splice(0)) deletion.abort();
  }

  /** The fault that spoils this call, if any. Counts the call. */
  take(method: string, path: string): DueFault | null {
    for (const { fault, path: pattern, deletion } of this.#faults) {
      if (fault.match.method !== undefined && fault.match.method !== method) continue;
      if (pattern && !pattern.test(path)) continue;
      if (fault.times !== null && fault.applied >= fault.times) continue;
      fault.matched += 1;
      if (fault.matched <= fault.after) continue;
      fault.applied += 1;
      return { fault, deleted: deletion.signal };
    }
    return null;
  }
}

function readFault(input: unknown): Fault {
  if (typeof input !== 'object' || input === null || Array.isArray(input))
    throw controlError('A fault is a JSON object');
  const value = input as Record<string, unknown>;
  for (const key of Object.keys(value)) {
    if (!KNOWN_KEYS.includes(key))
      throw controlError(`Unknown key "${key}". Known: ${KNOWN_KEYS.join(', ')}`);
  }
  const kind = FAULT_KINDS.find((known) => known === (value.kind ?? 'status'));
  if (!kind) throw controlError(`kind must be one of ${FAULT_KINDS.join(', ')}`);
  const effect = value.effect ?? 'before';
  if (effect !== 'before' && effect !== 'after') throw controlError('effect must be "before" or "after"');
  const fault: Fault = {
    id: `flt${randomBytes(6).toString('hex')}`,
    match: readMatch(value.match),
    after: count('after', value.after, 0, Number.MAX_SAFE_INTEGER),
    times: value.times === null ? null : count('times', value.times, 1, Number.MAX_SAFE_INTEGER),
    kind,
    effect,
    status: count('status', value.status, kind === 'malformed' ? 200 : 500, 599),
    delayMs: count('delayMs', value.delayMs, 0, MAX_DELAY_MS),
    matched: 0,
    applied: 0,
  };
  if (fault.status < 200) throw controlError('status must be from 200 to 599');
  if (value.body !== undefined) fault.body = value.body;
  if (value.contentType !== undefined) fault.contentType = text('contentType', value.contentType);
  if (value.headers !== undefined) fault.headers = readHeaders(value.headers);
  return fault;
}

function readMatch(input: unknown): Fault['match'] {
  if (input === undefined) return {};
  if (typeof input !== 'object' || input === null)
    throw controlError('match must be an object {method?, path?}');
  const { method, path, ...rest } = input as Record<string, unknown>;
  const unknownKey = Object.keys(rest)[0];
  if (unknownKey !== undefined) throw controlError(`Unknown key "match.${unknownKey}". Known: method, path`);
  const match: Fault['match'] = {};
  if (method !== undefined && method !== '*') match.method = text('match.method', method).toUpperCase();
  if (path !== undefined) match.path = text('match.path', path);
  return match;
}

function pathPattern(path: string): RegExp {
  if (path.length > MAX_PATTERN_CHARACTERS) {
    throw controlError(`match.path has at most ${MAX_PATTERN_CHARACTERS} characters`);
  }
  if (!path.startsWith(REGEX_PREFIX)) return glob(path);
  try {
    return new RegExp(path.slice(REGEX_PREFIX.length));
  } catch {
    throw controlError('match.path is not a regular expression');
  }
}

function glob(pattern: string): RegExp {
  const source = pattern
    .split(/(\*\*|\*)/)
    .map((part) => {
      if (part === '**') return '.*';
      if (part === '*') return '[^/]*';
      return part.replace(/[.+?^${}()|[\]\\]/g, '\\$&');
    })
    .join('');
  return new RegExp(`^${source}$`);
}

function readHeaders(input: unknown): Record<string, string> {
  if (typeof input !== 'object' || input === null) throw controlError('headers must be an object of strings');
  return Object.fromEntries(
    Object.entries(input).map(([name, value]) => {
      const header = text(`headers.${name}`, value);
      if (!/^[\w-]+$/.test(name) || /[\r\n]/.test(header))
        throw controlError(`headers.${name} is no HTTP header`);
      return [name.toLowerCase(), header];
    }),
  );
}

function count(name: string, value: unknown, fallback: number, max: number): number {
  if (value === undefined) return fallback;
  if (!Number.isSafeInteger(value) || (value as number) < 0 || (value as number) > max) {
    throw controlError(`${name} must be a whole number from 0 to ${max}`);
  }
  return value as number;
}

function text(name: string, value: unknown): string {
  if (typeof value !== 'string' || value === '')
    throw controlError(`${name} must be a text that is not empty`);
  return value;
}
