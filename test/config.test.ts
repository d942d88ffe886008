import { describe, expect, test } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { resolve } from 'node:path';
import { ConfigError, readConfig } from '../src/config.ts';

const key = (): string => randomBytes(32).toString('base64');

const production = {
  NODE_ENV: 'production',
  DATABASE_URL: 'postgres://omnera:hunter2@db.internal:5432/omnera',
  CALENDLY_API_URL: 'https://api.example.com',
  CALENDLY_OAUTH_URL: 'https://accounts.example.com',
  ENCRYPTION_KEYS: `main:${key()}`,
  ADMIN_API_KEY: 'a'.repeat(32),
};

test('an empty environment is enough: local database, sandbox, generated keys', () => {
  const config = readConfig({});
  expect(config).toMatchObject({
    production: false,
    host: 'localhost',
    port: 4000,
    portIsChosen: false,
    databaseUrl: null,
    upstream: null,
    encryptionKeys: [],
    adminApiKey: null,
    identityProvider: null,
    role: 'all',
    logLevel: 'warn',
    rateLimit: { calls: 5, windowMs: 1_025, penaltyMs: 30_000 },
  });
  expect(config.dataDir).toBe(resolve('.data'));
});

test('an empty value counts as absent, as in a copied sample file', () => {
  expect(readConfig({ DATABASE_URL: '', PORT: '', ENCRYPTION_KEYS: '' })).toEqual(readConfig({}));
});

test('every fault is reported at once, by the name of its variable, without its value', () => {
  const faults = faultsOf({
    PORT: '70000',
    DATABASE_URL: 'mysql://root:hunter2@localhost/x',
    ENCRYPTION_KEYS: 'main:hunter2',
    ADMIN_API_KEY: 'hunter2',
    ALLOWED_ORIGINS: 'https://app.example.com/path',
    ROLE: 'boss',
    LOG_LEVEL: 'loud',
    CHANGES_RETENTION_DAYS: 'many',
  });
  const named = [
    'PORT',
    'DATABASE_URL',
    'ENCRYPTION_KEYS',
    'ADMIN_API_KEY',
    'ALLOWED_ORIGINS',
    'ROLE',
    'LOG_LEVEL',
    'CHANGES_RETENTION_DAYS',
  ];
  expect(faults.map((fault) => fault.split(' ')[0]).sort()).toEqual(named.sort());
  expect(faults.join()).not.toContain('hunter2');
});

test('production refuses to start without a database, an upstream, encryption keys and an admin key', () => {
  expect(faultsOf({ NODE_ENV: 'production' })).toEqual(
    ['DATABASE_URL', 'CALENDLY_API_URL', 'CALENDLY_OAUTH_URL', 'ENCRYPTION_KEYS', 'ADMIN_API_KEY'].map(
      (name) => `${name} is required when NODE_ENV=production`,
    ),
  );
  expect(readConfig(production)).toMatchObject({
    production: true,
    logLevel: 'info',
    databaseUrl: production.DATABASE_URL,
  });
});

test.each(Object.keys(production).filter((name) => name !== 'NODE_ENV'))(
  'production names %s when it alone is missing',
  (name) => {
    expect(faultsOf({ ...production, [name]: undefined })).toEqual([
      `${name} is required when NODE_ENV=production`,
    ]);
  },
);

test('the upstream is set by both of its URLs or by neither', () => {
  expect(faultsOf({ CALENDLY_API_URL: 'https://api.example.com' })[0]).toContain('CALENDLY_OAUTH_URL');
  expect(faultsOf({ CALENDLY_OAUTH_URL: 'https://api.example.com' })[0]).toContain('CALENDLY_API_URL');
});

test('URLs lose their trailing slash, and the parts that we add ourselves are refused', () => {
  const config = readConfig({
    PUBLIC_URL: 'https://omnera.example.com//',
    CALENDLY_API_URL: 'https://a.example/',
    CALENDLY_OAUTH_URL: 'https://b.example',
  });
  expect(config.publicUrl).toBe('https://omnera.example.com');
  expect(config.upstream).toEqual({ apiUrl: 'https://a.example', oauthUrl: 'https://b.example' });
  const faults = faultsOf({
    CALENDLY_API_URL: 'https://a.example/v0',
    CALENDLY_OAUTH_URL: 'https://a.example/oauth2/v1/',
  });
  expect(faults).toEqual([
    'CALENDLY_API_URL must be given without /v0',
    'CALENDLY_OAUTH_URL must be given without /oauth2/v1',
  ]);
});

test('a port that somebody set is told apart from the default of the same number', () => {
  expect(readConfig({ PORT: '4000' }).portIsChosen).toBe(true);
  expect(readConfig({ SANDBOX_PORT: '0' })).toMatchObject({ sandboxPort: 0, sandboxPortIsChosen: true });
});

describe('an identity provider', () => {
  const provider = {
    JWT_ISSUER: 'https://id.example.com/',
    JWT_AUDIENCE: 'omnera',
    JWT_JWKS_URL: 'https://id.example.com/keys',
  };

  test('is set as a whole, letter for letter, with "role" as the claim of roles', () => {
    expect(readConfig({}).identityProvider).toBeNull();
    expect(readConfig(provider).identityProvider).toEqual({
      issuer: 'https://id.example.com/',
      audience: 'omnera',
      jwksUrl: 'https://id.example.com/keys',
      roleClaim: 'role',
      connectionsClaim: null,
      basesClaim: null,
    });
    const claims = {
      JWT_ROLE_CLAIM: 'realm_access.roles',
      JWT_CONNECTIONS_CLAIM: 'https://example.com/connections',
      JWT_BASES_CLAIM: 'bases',
    };
    expect(readConfig({ ...provider, ...claims }).identityProvider).toMatchObject({
      roleClaim: 'realm_access.roles',
      connectionsClaim: 'https://example.com/connections',
      basesClaim: 'bases',
    });
  });

  test.each(Object.keys(provider))('is refused without %s', (name) => {
    const [fault] = faultsOf({ ...provider, [name]: undefined });
    expect(fault).toContain(`set ${name} too`);
  });

  test('stands in for ADMIN_API_KEY in production', () => {
    const { ADMIN_API_KEY: _left, ...others } = production;
    expect(readConfig({ ...others, ...provider }).adminApiKey).toBeNull();
    expect(faultsOf({ ...others, ...provider, JWT_AUDIENCE: '' }).length).toBe(2);
  });

  test.each([
    ['JWT_JWKS_URL', 'http://id.example.com/keys'],
    ['JWT_JWKS_URL', 'http://127.0.0.1.example.com/keys'],
    ['JWT_JWKS_URL', 'https://user:hunter2@id.example.com/keys'],
    ['JWT_JWKS_URL', 'id.example.com'],
    ['JWT_ISSUER', 'with a space'],
    ['JWT_AUDIENCE', 'x'.repeat(501)],
    ['JWT_ROLE_CLAIM', 'realm_access..roles'],
    ['JWT_BASES_CLAIM', '.bases'],
    ['ADMIN_API_KEY', `${'a'.repeat(20)}.${'b'.repeat(20)}.`],
  ])('%s=%s is refused', (name, value) => {
    const faults = faultsOf({ ...provider, [name]: value });
    expect(faults).toEqual([expect.stringMatching(new RegExp(`^${name} must `))]);
    expect(faults[0]).not.toContain('hunter2');
  });

  test.each(['http://localhost:8080/keys', 'http://127.0.0.1/keys', 'http://[::1]:8080/keys'])(
    'may be on this machine, at %s',
    (url) => {
      expect(readConfig({ ...provider, JWT_JWKS_URL: url }).identityProvider?.jwksUrl).toBe(url);
    },
  );

  test('has no claims of reach where there is none', () => {
    expect(faultsOf({ JWT_BASES_CLAIM: 'bases' })).toEqual([
      'JWT_BASES_CLAIM needs JWT_ISSUER, JWT_AUDIENCE, JWT_JWKS_URL',
    ]);
  });
});

test('encryption keys keep their order, since the first one encrypts', () => {
  const config = readConfig({ ENCRYPTION_KEYS: `new:${key()}, old:${key()}` });
  expect(config.encryptionKeys.map((entry) => [entry.id, entry.key.length])).toEqual([
    ['new', 32],
    ['old', 32],
  ]);
});

test.each([
  ['a key of 31 bytes', `k:${randomBytes(31).toString('base64')}`],
  ['no id', key()],
  ['an id with a colon', `a:b:${key()}`],
  ['the same id twice', `k:${key()},k:${key()}`],
])('encryption keys with %s are refused', (_, text) => {
  expect(faultsOf({ ENCRYPTION_KEYS: text })[0]).toMatch(
    /^ENCRYPTION_KEYS (must be id:key pairs|names the key id k twice)/,
  );
});

function faultsOf(variables: NodeJS.ProcessEnv): string[] {
  try {
    readConfig(variables);
  } catch (error) {
    if (error instanceof ConfigError) {
      for (const fault of error.faults) expect(error.message).toContain(fault);
      return error.faults;
    }
    throw error;
  }
  throw new Error('the configuration was accepted');
}
