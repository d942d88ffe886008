import type { LookupFunction } from 'node:net';
import { resolve } from 'node:path';
import type { z } from 'zod';
import { environment, type EncryptionKey } from './environment.ts';
import { identityFaults, identityProviderOf, type IdentityProvider } from './identity-provider.ts';
import type { LogLevel } from './logger.ts';

/** Where the connections that the server should have are written down. */
export interface ConnectionsFileSetting {
  path: string;
  /** Looks up a variable of the environment that the file names. A function, so that no value can be logged with us. */
  variable: (name: string) => string | undefined;
}

export interface Config {
  production: boolean;
  /** Interface to listen on. */
  host: string;
  port: number;
  /** A port that somebody chose is never silently replaced by a free one. */
  portIsChosen: boolean;
  /** The origin under which browsers and the upstream reach us, without a trailing slash. */
  publicUrl: string | null;
  /** Whether somebody said so; else it is made of the address that we listen on. */
  publicUrlIsChosen: boolean;
  dataDir: string;
  /** Absent: a PostgreSQL of our own in `dataDir`. */
  databaseUrl: string | null;
  /** Connections per process, 2 to 200. */
  databasePoolSize: number;
  /** Absent: the bundled sandbox. */
  upstream: { apiUrl: string; oauthUrl: string } | null;
  sandboxPort: number;
  sandboxPortIsChosen: boolean;
  encryptionKeys: EncryptionKey[];
  /** Absent: one that was generated; in production none, which takes an identity provider. */
  adminApiKey: string | null;
  /** Connections as code, applied at start. */
  connectionsFile: ConnectionsFileSetting | null;
  /** Whose tokens are taken beside API keys. */
  identityProvider: IdentityProvider | null;
  /** Origins other than our own that may call us from a browser (CORS, WebSocket). */
  allowedOrigins: string[];
  /** Origins other than our own to which the OAuth callback may send the browser on. */
  allowedRedirectOrigins: string[];
  role: 'all' | 'web' | 'worker';
  logLevel: LogLevel;
  /** The upstream's allowance: at most `calls` per base leave all instances together in any `windowMs`. */
  rateLimit: { calls: number; windowMs: number; penaltyMs: number };
  changesRetentionDays: number;
  /** Days without use after which a webhook is deleted upstream; 0 for never. */
  webhookIdleDays: number;
  /** Where triggers may deliver to. */
  endpoints: EndpointRules;
  auditRetentionDays: number;
  /** Hours after which the table of a sync is read again, to find what differs; 0 for never. */
  syncReconcileHours: number;
}

/** Where triggers may deliver to. */
export interface EndpointRules {
  /**
   * Hosts that are let in whatever their address is, and by plain http: `host` or `host:port`, as URLs spell them. In
   * everything else triggers are kept to the open internet.
   */
  allowedHosts: readonly string[];
  /** Whether all other endpoints have to be https. */
  requireHttps: boolean;
  /** Looks host names up; null for the system's own way. */
  lookup: LookupFunction | null;
}

/** So that the first trigger can be tried out without a public address. */
const thisMachine = ['localhost', '127.0.0.1', '[::1]'];

/** All faults of the environment at once, one per line, each naming its variable; or of a file, each naming its place. */
export class ConfigError extends Error {
  readonly faults: string[];
  constructor(faults: string[], what = 'The configuration') {
    super(
      `${what} has ${faults.length === 1 ? 'a fault' : `${faults.length} faults`}:\n${faults.map((fault) => `  - ${fault}`).join('\n')}`,
    );
    this.name = 'ConfigError';
    this.faults = faults;
  }
}

/** What production must be told, since a default would be a trap there. */
function missingInProduction(env: z.infer<typeof environment>): string[] {
  const faults: string[] = [];
  if (!env.DATABASE_URL) faults.push('DATABASE_URL is required when NODE_ENV=production');
  if (!env.CALENDLY_API_URL) faults.push('CALENDLY_API_URL is required when NODE_ENV=production');
  if (!env.CALENDLY_OAUTH_URL) faults.push('CALENDLY_OAUTH_URL is required when NODE_ENV=production');
  if (!env.ENCRYPTION_KEYS?.length) faults.push('ENCRYPTION_KEYS is required when NODE_ENV=production');
  if (!env.ADMIN_API_KEY && !identityProviderOf(env))
    faults.push('ADMIN_API_KEY is required when NODE_ENV=production');
  return faults;
}

/** Under these names simple-oauth2 prints token requests, with the client secret and the tokens, to stderr. */
const secretDebugNames = [
  'simple-oauth2:client',
  'simple-oauth2:request-options',
  'simple-oauth2:access-token',
];

/** Whether DEBUG, read as the `debug` package reads it, would make one of those names print. */
function debugPrintsSecrets(debug: string): boolean {
  const patterns = debug.split(/[\s,]+/).filter(Boolean);
  const matches = (name: string, pattern: string) =>
    new RegExp(`^${pattern.replace(/[.+?^${}()|[\]\\]/g, '\\$&').replace(/\*+/g, '.*')}$`).test(name);
  return secretDebugNames.some(
    (name) =>
      patterns.some((pattern) => !pattern.startsWith('-') && matches(name, pattern)) &&
      !patterns.some((pattern) => pattern.startsWith('-') && matches(name, pattern.slice(1))),
  );
}

/**
 * Reads the environment once.
 * @throws ConfigError naming every fault; a value is never echoed, since it may be a secret.
 */
export function readConfig(variables: NodeJS.ProcessEnv): Config {
  const given = Object.fromEntries(
    Object.entries(variables).filter(([, value]) => value !== undefined && value !== ''),
  );
  const parsed = environment.safeParse(given);
  if (!parsed.success)
    throw new ConfigError(parsed.error.issues.map((issue) => `${issue.path.join('.')} ${issue.message}`));
  const env = parsed.data;
  const production = env.NODE_ENV === 'production';
  const faults = production ? missingInProduction(env) : [];
  if (!production && Boolean(env.CALENDLY_API_URL) !== Boolean(env.CALENDLY_OAUTH_URL)) {
    faults.push(
      'CALENDLY_API_URL and CALENDLY_OAUTH_URL go together: set both, or neither for the bundled sandbox',
    );
  }
  faults.push(...identityFaults(env));
  if (debugPrintsSecrets(variables['DEBUG'] ?? '')) {
    faults.push(
      'DEBUG must not cover simple-oauth2, which prints client secrets and tokens: unset it, or add -simple-oauth2*',
    );
  }
  if (faults.length > 0) throw new ConfigError(faults);

  return {
    production,
    host: env.HOST,
    port: env.PORT ?? 4000,
    portIsChosen: env.PORT !== undefined,
    publicUrl: env.PUBLIC_URL ?? null,
    publicUrlIsChosen: env.PUBLIC_URL !== undefined,
    dataDir: resolve(env.DATA_DIR),
    databaseUrl: env.DATABASE_URL ?? null,
    databasePoolSize: env.DATABASE_POOL_SIZE,
    upstream:
      env.CALENDLY_API_URL && env.CALENDLY_OAUTH_URL
        ? { apiUrl: env.CALENDLY_API_URL, oauthUrl: env.CALENDLY_OAUTH_URL }
        : null,
    sandboxPort: env.SANDBOX_PORT ?? 4001,
    sandboxPortIsChosen: env.SANDBOX_PORT !== undefined,
    encryptionKeys: env.ENCRYPTION_KEYS ?? [],
    adminApiKey: env.ADMIN_API_KEY ?? null,
    connectionsFile: env.CONNECTIONS_FILE
      ? { path: resolve(env.CONNECTIONS_FILE), variable: (name) => variables[name] }
      : null,
    identityProvider: identityProviderOf(env),
    allowedOrigins: env.ALLOWED_ORIGINS,
    allowedRedirectOrigins: env.ALLOWED_REDIRECT_ORIGINS,
    role: env.ROLE,
    logLevel: env.LOG_LEVEL ?? (production ? 'info' : 'warn'),
    rateLimit: {
      calls: env.RATE_LIMIT_CALLS,
      windowMs: env.RATE_LIMIT_WINDOW_MS,
      penaltyMs: env.RATE_LIMIT_PENALTY_MS,
    },
    changesRetentionDays: env.CHANGES_RETENTION_DAYS,
    webhookIdleDays: env.WEBHOOK_IDLE_DAYS,
    endpoints: {
      allowedHosts: env.TRIGGER_ALLOWED_HOSTS ?? (production ? [] : thisMachine),
      requireHttps: production,
      lookup: null,
    },
    auditRetentionDays: env.AUDIT_RETENTION_DAYS,
    syncReconcileHours: env.SYNC_RECONCILE_HOURS,
  };
}
