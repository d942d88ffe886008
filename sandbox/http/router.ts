import type { Handler } from './message.ts';

/** What a user must at least be in the base of the path. */
export type BaseRole = 'read' | 'edit' | 'create';

export interface Route {
  /** Name used by call counters, ledgers and faults, such as `listRecords`. */
  endpoint: string;
  /** Scopes that the token must have. Present (even empty) means: a bearer token is needed. */
  scopes?: string[];
  /** Role needed in the base named by the `:baseId` segment; `read` when left out. */
  baseRole?: BaseRole;
  handler: Handler;
}

export interface RouteMatch {
  route: Route;
  params: Record<string, string>;
}

interface Entry {
  method: string;
  segments: string[];
  literals: number;
  route: Route;
}

/**
 * Segments with these names match only ids of their kind, so a malformed id is an unknown route: it gets a 404
 * before anything looks at the token. The length is not checked, because short ids are used in test data.
 */
const ID_SEGMENTS: Record<string, RegExp> = {
  baseId: /^app[0-9A-Za-z]{1,40}$/,
  tableId: /^tbl[0-9A-Za-z]{1,40}$/,
  fieldId: /^fld[0-9A-Za-z]{1,40}$/,
  recordId: /^rec[0-9A-Za-z]{1,40}$/,
  webhookId: /^ach[0-9A-Za-z]{1,40}$/,
};

/** Finds the route of a method and path. Of several patterns that fit, the one with the most literal segments wins. */
export class Router {
  readonly #entries: Entry[] = [];

  /** `pattern` is a path like `/v0/:baseId/:table/:recordId`; a `:name` segment matches any non-empty segment. */
  add(method: string, pattern: string, route: Route): void {
    const segments = pattern.split('/').slice(1);
    const literals = segments.filter((segment) => !segment.startsWith(':')).length;
    this.#entries.push({ method, segments, literals, route });
    this.#entries.sort((a, b) => b.literals - a.literals);
  }

  /** Matches the percent-encoded path, so that an encoded slash stays inside its segment. Null means 404. */
  match(method: string, path: string): RouteMatch | null {
    const parts = withoutTrailingSlash(path).split('/').slice(1).map(decodeSegment);
    for (const entry of this.#entries) {
      if (entry.method !== method || entry.segments.length !== parts.length) continue;
      const params = matchSegments(entry.segments, parts);
      if (params) return { route: entry.route, params };
    }
    return null;
  }

  /** Every route as `METHOD /pattern`, for the start page. */
  list(): { method: string; pattern: string; endpoint: string }[] {
    return this.#entries.map(({ method, segments, route }) => ({
      method,
      pattern: `/${segments.join('/')}`,
      endpoint: route.endpoint,
    }));
  }
}

function matchSegments(segments: string[], parts: (string | null)[]): Record<string, string> | null {
  const params: Record<string, string> = {};
  for (const [index, segment] of segments.entries()) {
    const part = parts[index] ?? null;
    if (part === null) return null;
    if (!segment.startsWith(':')) {
      if (part !== segment) return null;
      continue;
    }
    const name = segment.slice(1);
    const pattern = ID_SEGMENTS[name];
    if (part === '' || (pattern && !pattern.test(part))) return null;
    params[name] = part;
  }
  return params;
}

/** Null for a broken percent-encoding or an encoded NUL, which no route matches. */
function decodeSegment(segment: string): string | null {
  try {
    const decoded = decodeURIComponent(segment);
    return decoded.includes('\0') ? null : decoded;
  } catch {
    return null;
  }
}

export function withoutTrailingSlash(path: string): string {
  return path.length > 1 && path.endsWith('/') ? path.slice(0, -1) : path;
}
