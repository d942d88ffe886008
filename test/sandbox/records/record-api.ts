import { createSandbox, type Sandbox } from '../../../sandbox/sandbox.ts';
import { BASE_ID, fixtureBase, THINGS_ID } from './fixture-base.ts';

export interface Answer<Body = Record<string, unknown>> {
  status: number;
  body: Body;
}

export interface ShownRecord {
  id: string;
  createdTime: string;
  fields: Record<string, unknown>;
  commentCount?: number;
}

export interface RecordList {
  records: ShownRecord[];
  offset?: string;
}

/** A sandbox of one's own that also has the fixture base, without a rate limit, spoken to over HTTP with one token. */
export class RecordApi implements AsyncDisposable {
  private constructor(
    readonly sandbox: Sandbox,
    readonly token: string,
  ) {}

  static async start(options: { dataDir?: string; seed?: number } = {}): Promise<RecordApi> {
    const sandbox = await createSandbox({ size: 'small', ...options });
    const { context } = sandbox;
    context.settings.changeLimits({ requestsPerSecond: 0 });
    if (context.bases.find(BASE_ID) === undefined) context.records.plant(fixtureBase());
    const scopes = ['data.records:read', 'data.records:write', 'schema.bases:read', 'webhook:manage'];
    const userId = context.users.list()[0]?.id ?? '';
    return new RecordApi(sandbox, context.grants.issuePersonalToken(userId, scopes, 'all'));
  }

  /** `path` begins after `/v0`. */
  async call<Body = Record<string, unknown>>(
    method: string,
    path: string,
    body?: unknown,
  ): Promise<Answer<Body>> {
    const response = await fetch(`${this.sandbox.url}/v0${path}`, {
      method,
      headers: { authorization: `Bearer ${this.token}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    return { status: response.status, body: (await response.json()) as Body };
  }

  /** GET of a list in the fixture base, with `query` as it stands in a URL. */
  list(table: string, query = ''): Promise<Answer<RecordList>> {
    return this.call('GET', `/${BASE_ID}/${encodeURIComponent(table)}?${query}`);
  }

  /** Creates one record in the fixture base and gives it; throws what was answered when refused. */
  async create(
    table: string,
    fields: Record<string, unknown>,
    more: Record<string, unknown> = {},
  ): Promise<ShownRecord> {
    const path = `/${BASE_ID}/${encodeURIComponent(table)}`;
    const answer = await this.call<ShownRecord>('POST', path, { fields, ...more });
    if (answer.status !== 200) throw new Error(JSON.stringify(answer.body));
    return answer.body;
  }

  /** The record as it is now, of whichever table of the fixture base. */
  async read(recordId: string): Promise<ShownRecord> {
    const answer = await this.call<ShownRecord>('GET', `/${BASE_ID}/${THINGS_ID}/${recordId}`);
    if (answer.status !== 200) throw new Error(JSON.stringify(answer.body));
    return answer.body;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.sandbox.close();
  }
}
