import type { Sandbox } from '../../../sandbox/sandbox.ts';
import type { Payload } from '../../../sandbox/webhooks/payload.ts';
import { call, control, type CallAnswer } from '../../support/sandbox-call.ts';

export const BASE_ID = 'appABC123';
export const CONTACTS = 'tblDEF456';
export const WEBHOOKS = `/v0/bases/${BASE_ID}/webhooks`;

export interface CreatedWebhook {
  id: string;
  macSecretBase64: string;
  expirationTime: string;
}

export interface PayloadList {
  cursor: number;
  mightHaveMore: boolean;
  payloads: Payload[];
}

/** The calls that webhook tests make, with one token. */
export class WebhookCalls {
  constructor(
    readonly sandbox: Sandbox,
    readonly token: string,
  ) {}

  call(method: string, path: string, json?: unknown): Promise<CallAnswer> {
    return call(this.sandbox.url, method, path, { token: this.token, json });
  }

  async create(
    filters: Record<string, unknown> = { dataTypes: ['tableData'] },
    { includes, notificationUrl }: { includes?: Record<string, unknown>; notificationUrl?: string } = {},
  ): Promise<CreatedWebhook> {
    const specification = { options: { filters, ...(includes && { includes }) } };
    const answer = await this.call('POST', WEBHOOKS, { specification, notificationUrl });
    if (answer.status !== 200)
      throw new Error(`Creating answered ${answer.status} ${JSON.stringify(answer.body)}`);
    return answer.body as CreatedWebhook;
  }

  async listed(webhookId: string): Promise<Record<string, unknown> | undefined> {
    const { body } = await this.call('GET', WEBHOOKS);
    return (body as { webhooks: Record<string, unknown>[] }).webhooks.find(({ id }) => id === webhookId);
  }

  async payloads(webhookId: string, query = ''): Promise<PayloadList> {
    const answer = await this.call('GET', `${WEBHOOKS}/${webhookId}/payloads${query}`);
    if (answer.status !== 200)
      throw new Error(`Listing answered ${answer.status} ${JSON.stringify(answer.body)}`);
    return answer.body as PayloadList;
  }

  /** Creates one contact through the API; gives its id. */
  async createContact(fields: Record<string, unknown>): Promise<string> {
    const { status, body } = await this.call('POST', `/v0/${BASE_ID}/${CONTACTS}`, { fields });
    if (status !== 200) throw new Error(`Creating a contact answered ${status} ${JSON.stringify(body)}`);
    return (body as { id: string }).id;
  }

  /** Edits contacts as a person does. */
  async edit(changes: Record<string, unknown>): Promise<string[]> {
    const edit = { baseId: BASE_ID, tableId: CONTACTS, ...changes };
    return (await control<{ created: string[] }>(this.sandbox.url, 'POST', 'edits', edit)).created;
  }

  schema(change: Record<string, unknown>): Promise<{ tableId: string; fieldId?: string }> {
    return control(this.sandbox.url, 'POST', 'schema', { baseId: BASE_ID, ...change });
  }

  /** The id of a field of Contacts. */
  field(name: string): string {
    const field = this.sandbox.context.bases
      .table(CONTACTS)
      ?.fields.find((candidate) => candidate.name === name);
    if (!field) throw new Error(`There is no field ${name}`);
    return field.id;
  }

  /** The id of a view of Contacts. */
  view(name: string): string {
    const view = this.sandbox.context.bases
      .table(CONTACTS)
      ?.views.find((candidate) => candidate.name === name);
    if (!view) throw new Error(`There is no view ${name}`);
    return view.id;
  }
}
