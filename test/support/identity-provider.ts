import { once } from 'node:events';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  exportJWK,
  generateKeyPair,
  SignJWT,
  type CryptoKey,
  type JWK,
  type JWTHeaderParameters,
} from 'jose';
import type { IdentityProvider } from '../../src/identity-provider.ts';

/** A small identity provider: publishes its keys, and signs whatever it is told to. */
export class TestIdentityProvider {
  readonly issuer = 'https://id.example.com/';
  readonly audience = 'https://omnera.example.com';
  /** How often the key set was asked for. */
  asked = 0;
  /** What it answers with in place of its keys. */
  fault: ((response: ServerResponse) => void) | null = null;
  readonly #server: Server;
  #keys: { privateKey: CryptoKey; jwk: JWK & { kid: string } }[] = [];
  #made = 0;

  private constructor() {
    this.#server = createServer((_request, response) => {
      this.asked += 1;
      if (this.fault) return this.fault(response);
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify({ keys: this.#keys.map(({ jwk }) => jwk) }));
    });
  }

  static async start(): Promise<TestIdentityProvider> {
    const provider = new TestIdentityProvider();
    await provider.rotate();
    await once(provider.#server.listen(0, 'localhost'), 'listening');
    return provider;
  }

  get jwksUrl(): string {
    return `http://localhost:${(this.#server.address() as AddressInfo).port}/keys`;
  }

  config(claims: Partial<IdentityProvider> = {}): IdentityProvider {
    const { issuer, audience, jwksUrl } = this;
    return {
      issuer,
      audience,
      jwksUrl,
      roleClaim: 'role',
      connectionsClaim: null,
      basesClaim: null,
      ...claims,
    };
  }

  /** The key that signs, as everybody may see it. */
  get publicKey(): JWK & { kid: string } {
    const [newest] = this.#keys;
    if (!newest) throw new Error('The provider has no key');
    return newest.jwk;
  }

  /** Signs with a new key from now on; of the older ones it publishes the last. */
  async rotate(algorithm = 'ES256'): Promise<void> {
    this.#made += 1;
    const { privateKey, publicKey } = await generateKeyPair(algorithm, { extractable: true });
    const jwk = { ...(await exportJWK(publicKey)), kid: `key-${this.#made}`, alg: algorithm, use: 'sig' };
    this.#keys = [{ privateKey, jwk }, ...this.#keys.slice(0, 1)];
  }

  /** A token that is good for an hour, but for what is said of it. A claim that is undefined is left out. */
  async token(
    claims: Record<string, unknown> = {},
    header: Partial<JWTHeaderParameters> = {},
  ): Promise<string> {
    const [newest] = this.#keys;
    if (!newest) throw new Error('The provider has no key');
    return new SignJWT(this.claims(claims))
      .setProtectedHeader({ alg: newest.jwk.alg ?? '', kid: newest.jwk.kid, typ: 'at+jwt', ...header })
      .sign(newest.privateKey, { crit: { x: false } });
  }

  claims(changed: Record<string, unknown> = {}): Record<string, unknown> {
    const now = Date.now() / 1_000;
    const { issuer: iss, audience: aud } = this;
    return { iss, aud, sub: 'ada', name: 'Ada', role: 'admin', iat: now, exp: now + 3_600, ...changed };
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }
}
