import { z } from 'zod';

/** Whose tokens open the door beside our own API keys, and what their claims are called. */
export interface IdentityProvider {
  /** Must be the token's `iss`, letter for letter. */
  issuer: string;
  /** Must be the token's `aud`, or among them. */
  audience: string;
  /** Where the provider publishes the keys with which it signs. */
  jwksUrl: string;
  /** Names as in `findClaim`. */
  roleClaim: string;
  /** Null: a token reaches all connections, all bases. */
  connectionsClaim: string | null;
  basesClaim: string | null;
}

const name = z
  .string()
  .max(500, 'must not exceed 500 characters')
  .regex(/^[\x21-\x7e]+$/, 'must be printable ASCII without spaces');

const claim = name.refine((path) => path.includes('://') || path.split('.').every((part) => part !== ''), {
  error: 'must be the name of a claim, such as role, realm_access.roles or https://example.com/role',
});

/** Keys that come over an open network are no keys; on this machine there is none in between. */
const keySetUrl = z
  .url({ protocol: /^https?$/, error: 'must be an https URL', abort: true })
  .refine((url) => {
    const { protocol, hostname } = new URL(url);
    return protocol === 'https:' || /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(hostname);
  }, 'must be an https URL; http is for this machine alone')
  .refine((url) => !new URL(url).username && !new URL(url).password, 'must not hold a password');

/** The variables, as part of the whole environment. */
export const identityVariables = {
  JWT_ISSUER: name.optional(),
  JWT_AUDIENCE: name.optional(),
  JWT_JWKS_URL: keySetUrl.optional(),
  JWT_ROLE_CLAIM: claim.default('role'),
  JWT_CONNECTIONS_CLAIM: claim.optional(),
  JWT_BASES_CLAIM: claim.optional(),
};

type Variables = z.infer<z.ZodObject<typeof identityVariables>>;

/** @returns null when none is configured. What is set by halves is among the faults of `identityFaults`. */
export function identityProviderOf(env: Variables): IdentityProvider | null {
  const { JWT_ISSUER: issuer, JWT_AUDIENCE: audience, JWT_JWKS_URL: jwksUrl } = env;
  if (!issuer || !audience || !jwksUrl) return null;
  return {
    issuer,
    audience,
    jwksUrl,
    roleClaim: env.JWT_ROLE_CLAIM,
    connectionsClaim: env.JWT_CONNECTIONS_CLAIM ?? null,
    basesClaim: env.JWT_BASES_CLAIM ?? null,
  };
}

export function identityFaults(env: Variables & { ADMIN_API_KEY?: string | undefined }): string[] {
  const required = ['JWT_ISSUER', 'JWT_AUDIENCE', 'JWT_JWKS_URL'] as const;
  const missing = required.filter((variable) => !env[variable]);
  if (missing.length === required.length) {
    const alone = (['JWT_CONNECTIONS_CLAIM', 'JWT_BASES_CLAIM'] as const).filter((variable) => env[variable]);
    return alone.map((variable) => `${variable} needs ${required.join(', ')}`);
  }
  const faults: string[] = [];
  if (missing.length > 0)
    faults.push(`${required.join(', ')} go together: set ${missing.join(' and ')} too, or none of them`);
  if (looksLikeToken(env.ADMIN_API_KEY ?? ''))
    faults.push(
      'ADMIN_API_KEY must not consist of three parts with dots in between, since JWT_ISSUER is set: it would be taken for a token',
    );
  return faults;
}

/** Three parts in base64url. No key of ours has a dot. */
export function looksLikeToken(text: string): boolean {
  return /^[\w-]+\.[\w-]+\.[\w-]*$/.test(text);
}
