import { createSandbox } from '../../sandbox/sandbox.ts';
import { grantToken } from '../support/sandbox-grant.ts';

export const CRM = 'appABC123';
export const CONTACTS = 'tblDEF456';

export type Json = Record<string, unknown>;

/** A small sandbox of its own, without a rate limit, and a token for all of it. */
export class SandboxAccount {
  private constructor(
    readonly url: string,
    readonly accessToken: string,
    readonly refreshToken: string,
    readonly close: () => Promise<void>,
  ) {}

  static async open(): Promise<SandboxAccount> {
    const sandbox = await createSandbox({ port: 0, size: 'small' });
    const { accessToken, refreshToken } = await grantToken(sandbox.url, {
      scopes: [
        'data.records:read',
        'data.records:write',
        'schema.bases:read',
        'schema.bases:write',
        'webhook:manage',
        'user.email:read',
      ],
    });
    const account = new SandboxAccount(sandbox.url, accessToken, refreshToken, () => sandbox.close());
    await account.control('limits', { requestsPerSecond: 0 });
    return account;
  }

  /** Posts to the control API and gives its answer. */
  async control(path: string, body: unknown = {}): Promise<unknown> {
    const response = await fetch(`${this.url}/_control/${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    if (!response.ok)
      throw new Error(`/_control/${path} answered ${response.status}: ${await response.text()}`);
    const text = await response.text();
    return text === '' ? undefined : JSON.parse(text);
  }

  /** A raw call with the token, as clients make it: `content-type` on every method. */
  async call(
    method: string,
    pathAndQuery: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<{ status: number; json: Json; headers: Headers }> {
    const response = await fetch(this.url + pathAndQuery, {
      method,
      headers: {
        authorization: `Bearer ${this.accessToken}`,
        'content-type': 'application/json',
        ...headers,
      },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    const text = await response.text();
    return {
      status: response.status,
      json: (text === '' ? {} : JSON.parse(text)) as Json,
      headers: response.headers,
    };
  }

  /** How often an endpoint was called so far. */
  async callsTo(endpoint: string): Promise<number> {
    const response = await fetch(`${this.url}/_control/calls`);
    const { byEndpoint } = (await response.json()) as { byEndpoint: Record<string, number> };
    return byEndpoint[endpoint] ?? 0;
  }
}
