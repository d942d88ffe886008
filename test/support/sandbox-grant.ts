import { createHash, randomBytes } from 'node:crypto';

export interface GrantOptions {
  scopes?: string[];
  /** Base ids to tick on the consent page; default: the ones that are ticked already. */
  bases?: string[];
  /** Default: the integration of the product's brief. A client without a secret has `clientSecret: null`. */
  clientId?: string;
  clientSecret?: string | null;
  /** User id to sign in as; default: the one chosen on the page. */
  userId?: string;
}

export interface GrantedTokens {
  accessToken: string;
  refreshToken: string;
  /** The token endpoint's whole answer. */
  answer: Record<string, unknown>;
}

export const TEST_CLIENT = { clientId: 'calendly_client_xyz789', clientSecret: 'secret_calendly_abc123' };
export const TEST_REDIRECT = 'http://localhost:4000/oauth/calendly/callback';
export const ALL_SCOPES = [
  'data.records:read',
  'data.records:write',
  'schema.bases:read',
  'webhook:manage',
  'user.email:read',
];

export interface PkcePair {
  verifier: string;
  challenge: string;
}

export function createPkcePair(): PkcePair {
  const verifier = randomBytes(48).toString('base64url');
  return { verifier, challenge: createHash('sha256').update(verifier).digest('base64url') };
}

/** A complete, valid authorization URL; `changes` replaces parameters, null leaves one out. */
export function authorizeUrl(
  sandboxUrl: string,
  challenge: string,
  changes: Record<string, string | null> = {},
): string {
  const url = new URL('/oauth2/v1/authorize', sandboxUrl);
  const parameters = {
    client_id: TEST_CLIENT.clientId,
    redirect_uri: TEST_REDIRECT,
    response_type: 'code',
    scope: ALL_SCOPES.join(' '),
    state: randomBytes(16).toString('hex'),
    code_challenge: challenge,
    code_challenge_method: 'S256',
    ...changes,
  };
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== null) url.searchParams.set(name, value);
  }
  return url.href;
}

/** What a consent page would submit if nothing was touched: its hidden, ticked and chosen inputs. */
export function readConsentForm(html: string): URLSearchParams {
  const form = new URLSearchParams();
  for (const [input] of html.matchAll(/<input\b[^>]*>/g)) {
    const attribute = (name: string) => new RegExp(`\\b${name}="([^"]*)"`).exec(input)?.[1] ?? '';
    const isChoice = ['checkbox', 'radio'].includes(attribute('type'));
    if (!isChoice || /\bchecked\b/.test(input)) form.append(attribute('name'), attribute('value'));
  }
  return form;
}

/** Answers the consent page at `url` and gives the address that the browser would be sent to. */
export async function answerConsent(
  url: string,
  decision: 'grant' | 'deny',
  { bases, userId }: Pick<GrantOptions, 'bases' | 'userId'> = {},
): Promise<URL> {
  const page = await fetch(url, { redirect: 'manual' });
  if (page.status !== 200) throw new Error(`The authorize page answered ${page.status}`);
  const form = readConsentForm(await page.text());
  if (bases) form.delete('bases');
  for (const baseId of bases ?? []) form.append('bases', baseId);
  if (userId) form.set('user', userId);
  form.set('decision', decision);
  const answer = await fetch(new URL('/oauth2/v1/authorize', url), {
    method: 'POST',
    body: form,
    redirect: 'manual',
  });
  const location = answer.headers.get('location');
  if (answer.status !== 302 || location === null)
    throw new Error(`The consent form answered ${answer.status}`);
  return new URL(location);
}

/** Posts to the token endpoint (or another one), with Basic authentication if there is a secret. */
export async function postForm(
  sandboxUrl: string,
  path: string,
  parameters: Record<string, string>,
  client: { clientId: string; clientSecret: string | null } = TEST_CLIENT,
): Promise<Response> {
  const body = new URLSearchParams(parameters);
  const headers: Record<string, string> = {};
  if (client.clientSecret === null) body.set('client_id', client.clientId);
  else {
    const credentials = Buffer.from(`${client.clientId}:${client.clientSecret}`).toString('base64');
    headers.authorization = `Basic ${credentials}`;
  }
  return fetch(new URL(path, sandboxUrl), { method: 'POST', body, headers });
}

/** Gets tokens the way a product does: consent page, form, code, PKCE and the token endpoint. */
export async function grantToken(sandboxUrl: string, options: GrantOptions = {}): Promise<GrantedTokens> {
  const { scopes = ALL_SCOPES, clientId = TEST_CLIENT.clientId, bases, userId } = options;
  const clientSecret = options.clientSecret === undefined ? TEST_CLIENT.clientSecret : options.clientSecret;
  const { verifier, challenge } = createPkcePair();
  const url = authorizeUrl(sandboxUrl, challenge, { client_id: clientId, scope: scopes.join(' ') });
  const redirect = await answerConsent(url, 'grant', { bases, userId });
  const response = await postForm(
    sandboxUrl,
    '/oauth2/v1/token',
    {
      grant_type: 'authorization_code',
      code: redirect.searchParams.get('code') ?? '',
      redirect_uri: TEST_REDIRECT,
      code_verifier: verifier,
    },
    { clientId, clientSecret },
  );
  const answer = (await response.json()) as Record<string, unknown>;
  if (response.status !== 200) throw new Error(`The token endpoint answered ${response.status}`);
  return { accessToken: String(answer.access_token), refreshToken: String(answer.refresh_token), answer };
}
