import type { App, ResolvedConfig } from '../../src/app.ts';
import { BaseSchemas } from '../../src/bases/base-schemas.ts';
import type { Operation } from '../../src/calendly/operation.ts';
import { Permits } from '../../src/calendly/permits.ts';
import { RateLimiter } from '../../src/calendly/rate-limit.ts';
import type { TokenSource } from '../../src/calendly/tokens.ts';
import { Transport } from '../../src/calendly/transport.ts';
import type { UpstreamCall } from '../../src/calendly/upstream-call.ts';
import { AccessTokens } from '../../src/connections/access-tokens.ts';
import { ConnectionSecrets } from '../../src/connections/connection-secrets.ts';
import { OAuthClient } from '../../src/connections/oauth-client.ts';
import { SecretCipher } from '../../src/encryption/secret-cipher.ts';
import { Upstream } from '../../src/connections/upstream.ts';
import { startOurs } from './our-app.ts';
import { serve } from './serve.ts';

/**
 * Ours with one part replaced: the transport remembers the answer of each read by its path and gives it again without
 * asking. So left out are the rate limit, the access token, HTTP and the check of the answer's shape; everything else is
 * the real thing, with the reads of the API key and of the connection from PostgreSQL, as requests share them in production.
 */
class RememberingTransport extends Transport {
  readonly #answers = new Map<string, unknown>();

  override async send<Answer>(
    call: UpstreamCall<Answer>,
    tokens: TokenSource,
    operation: Operation,
  ): Promise<Answer> {
    if (call.effect !== 'read') return super.send(call, tokens, operation);
    operation.meter.countCall();
    if (this.#answers.has(call.path)) return this.#answers.get(call.path) as Answer;
    const answer = await super.send(call, tokens, operation);
    this.#answers.set(call.path, answer);
    return answer;
  }
}

function withMemory(app: App, config: ResolvedConfig): App {
  const { database, connections, clock, logger } = app;
  const permits = new Permits((text, params) => database.query(text, params), config.rateLimit);
  const rateLimit = new RateLimiter({ permits, penaltyMs: config.rateLimit.penaltyMs, clock, logger });
  const transport = new RememberingTransport({ apiUrl: config.upstream.apiUrl, rateLimit, clock, logger });
  const secrets = new ConnectionSecrets(new SecretCipher(config.encryptionKeys));
  const oauth = (credentials: ConstructorParameters<typeof OAuthClient>[1]) =>
    new OAuthClient(config.upstream.oauthUrl, credentials);
  const tokens = new AccessTokens({
    database,
    secrets,
    oauth,
    audit: () => Promise.resolve(),
    clock,
    logger,
  });
  const upstream = new Upstream({ connections, tokens, transport });
  return { ...app, upstream, baseSchemas: new BaseSchemas({ upstream, clock }) };
}

serve((setup) => startOurs(setup, withMemory));
