import { z } from 'zod';
import { identityVariables } from './identity-provider.ts';
import { logLevels } from './logger.ts';

/** One AES-256 key. The first of the list encrypts; all of them decrypt. */
export interface EncryptionKey {
  id: string;
  key: Buffer;
}

const port = z.coerce
  .number()
  .int('must be a whole number')
  .min(0, 'must be 0 to 65535')
  .max(65_535, 'must be 0 to 65535');

const webUrl = z
  .url({ protocol: /^https?$/, error: 'must be an http or https URL' })
  .transform((url) => url.replace(/\/+$/, ''));

const origins = z
  .string()
  .transform((list) =>
    list
      .split(',')
      .map((entry) => entry.trim())
      .filter((entry) => entry !== ''),
  )
  .refine((list) => list.every((entry) => URL.canParse(entry) && new URL(entry).origin === entry), {
    error: 'must be origins such as https://app.example.com, separated by commas',
  });

/** As URLs spell them: small letters, IPv6 in brackets, no default of the scheme. */
const hosts = z
  .string()
  .transform((list) =>
    list
      .split(',')
      .map((entry) => entry.trim())
      .filter((entry) => entry !== ''),
  )
  .refine((list) => list.every(isHost), {
    error: 'must be hosts such as hooks.internal or 10.1.2.3:8080, separated by commas',
  });

function isHost(entry: string): boolean {
  const [, host = '', port] = /^(\[[0-9a-f:.]+\]|[^:/?#@\s]+)(?::(\d{1,5}))?$/.exec(entry) ?? [];
  if (host === '' || (port !== undefined && (Number(port) > 65_535 || Number(port) === 0))) return false;
  return URL.canParse(`http://${host}`) && new URL(`http://${host}`).hostname === host;
}

const minApiKeyLength = 32;

const encryptionKeys = z.string().transform((text, context): EncryptionKey[] => {
  const keys: EncryptionKey[] = [];
  for (const entry of text
    .split(',')
    .map((part) => part.trim())
    .filter(Boolean)) {
    const [id = '', encoded = ''] = entry.split(':');
    const key = Buffer.from(encoded, 'base64');
    if (!/^[A-Za-z0-9_-]{1,32}$/.test(id) || key.length !== 32) {
      context.addIssue({
        code: 'custom',
        message:
          'must be id:key pairs separated by commas, each key 32 bytes in base64 (openssl rand -base64 32)',
      });
      return z.NEVER;
    }
    if (keys.some((known) => known.id === id)) {
      context.addIssue({ code: 'custom', message: `names the key id ${id} twice` });
      return z.NEVER;
    }
    keys.push({ id, key });
  }
  return keys;
});

/** The variables that are read, each with its default. `.env.example` lists the same names; a test compares them. */
export const environment = z.object({
  NODE_ENV: z.string().optional(),
  HOST: z.string().min(1).default('localhost'),
  PORT: port.optional(),
  PUBLIC_URL: webUrl
    .refine(
      (url) => new URL(url).origin === url,
      'must be an origin such as https://api.example.com, without a path',
    )
    .optional(),
  DATA_DIR: z.string().min(1).default('.data'),
  DATABASE_URL: z.url({ protocol: /^postgres(ql)?$/, error: 'must be a postgres:// URL' }).optional(),
  DATABASE_POOL_SIZE: z.coerce
    .number()
    .int()
    .min(4, 'must be 4 to 200')
    .max(200, 'must be 4 to 200')
    .default(10),
  CALENDLY_API_URL: webUrl.refine((url) => !/\/v0$/.test(url), 'must be given without /v0').optional(),
  CALENDLY_OAUTH_URL: webUrl
    .refine((url) => !/\/oauth2\/v1$/.test(url), 'must be given without /oauth2/v1')
    .optional(),
  SANDBOX_PORT: port.optional(),
  ENCRYPTION_KEYS: encryptionKeys.optional(),
  ADMIN_API_KEY: z
    .string()
    .min(minApiKeyLength, `must be at least ${minApiKeyLength} characters`)
    .max(200)
    .regex(/^[\x21-\x7e]+$/, 'must be printable ASCII without spaces: it is sent in a header')
    .optional(),
  CONNECTIONS_FILE: z.string().optional(),
  ...identityVariables,
  ALLOWED_ORIGINS: origins.default([]),
  ALLOWED_REDIRECT_ORIGINS: origins.default([]),
  TRIGGER_ALLOWED_HOSTS: hosts.optional(),
  ROLE: z.enum(['all', 'web', 'worker'], { error: 'must be all, web or worker' }).default('all'),
  LOG_LEVEL: z.enum(logLevels, { error: `must be one of ${logLevels.join(', ')}` }).optional(),
  RATE_LIMIT_CALLS: z.coerce
    .number()
    .int()
    .min(1, 'must be 1 to 1000')
    .max(1000, 'must be 1 to 1000')
    .default(5),
  RATE_LIMIT_WINDOW_MS: z.coerce
    .number()
    .int()
    .min(100, 'must be 100 to 60000')
    .max(60_000, 'must be 100 to 60000')
    .default(1_025),
  RATE_LIMIT_PENALTY_MS: z.coerce
    .number()
    .int()
    .min(0, 'must be 0 to 600000')
    .max(600_000, 'must be 0 to 600000')
    .default(30_000),
  CHANGES_RETENTION_DAYS: z.coerce
    .number()
    .int()
    .min(1, 'must be 1 to 3650')
    .max(3650, 'must be 1 to 3650')
    .default(30),
  WEBHOOK_IDLE_DAYS: z.coerce
    .number()
    .int()
    .min(0, 'must be 0 to 3650')
    .max(3650, 'must be 0 to 3650')
    .default(30),
  // PostgreSQL itself refuses to delete younger entries of the audit log.
  AUDIT_RETENTION_DAYS: z.coerce
    .number()
    .int()
    .min(30, 'must be 30 to 3650')
    .max(3650, 'must be 30 to 3650')
    .default(365),
  SYNC_RECONCILE_HOURS: z.coerce
    .number()
    .int()
    .min(0, 'must be 0 to 720')
    .max(720, 'must be 0 to 720')
    .default(24),
});
