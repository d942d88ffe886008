import { authorizationUrl, control, walkFlow, type TestApp } from '../support/app.ts';
import { call } from '../support/sandbox-call.ts';
import { grantToken } from '../support/sandbox-grant.ts';
import { crm } from '../changes/upstream-edits.ts';

/** The data of one operation that must not fail. */
export async function ask<T>(app: TestApp, document: string, variables: object = {}): Promise<T> {
  const { data, errors } = await app.graphql<T>(document, variables);
  if (errors || data === null) throw new Error(`The operation failed: ${JSON.stringify(errors)}`);
  return data;
}

export const createDocument = `mutation ($connection: Int!, $baseId: String!) {
  createWebhook(input: { connection: $connection, baseId: $baseId }) { ... on CreateWebhookSuccess { webhook { id } } ... on Error { code message } }
}`;

export async function createWebhook(
  app: TestApp,
  connection: number,
  baseId: string = crm.baseId,
): Promise<string> {
  const { createWebhook: created } = await ask<{ createWebhook: { webhook: { id: string } } }>(
    app,
    createDocument,
    { connection, baseId },
  );
  return created.webhook.id;
}

export async function webhooksOf(
  app: TestApp,
  connection: number,
): Promise<{ id: string; baseId: string; state: string }[]> {
  const { connection: found } = await ask<{
    connection: { webhooks: { id: string; baseId: string; state: string }[] };
  }>(
    app,
    `query ($connection: Int!) { connection(id: $connection) { ... on CalendlyConnection { webhooks { id baseId state } } } }`,
    { connection },
  );
  return found.webhooks;
}

/** A base of the sandbox other than the CRM. */
export async function otherBase(app: TestApp, connection: number): Promise<string> {
  const answer = await ask<{ connection: { bases: { nodes: { id: string }[] } } }>(
    app,
    `query ($connection: Int!) { connection(id: $connection) { ... on CalendlyConnection { bases { nodes { id } } } } }`,
    { connection },
  );
  const other = answer.connection.bases.nodes.find(({ id }) => id !== crm.baseId);
  if (!other) throw new Error('The sandbox has only one base.');
  return other.id;
}

export async function disconnect(
  app: TestApp,
  connection: number,
): Promise<{ webhooksDeleted: number; webhooksFailed: number }> {
  const { disconnectConnection } = await ask<{
    disconnectConnection: { webhooksDeleted: number; webhooksFailed: number };
  }>(
    app,
    `mutation ($connection: Int!) {
      disconnectConnection(input: { connection: $connection }) { ... on DisconnectConnectionSuccess { webhooksDeleted webhooksFailed } }
    }`,
    { connection },
  );
  return disconnectConnection;
}

/** A person walks the OAuth flow of a connection again and ticks these bases alone. */
export async function grantAgain(app: TestApp, connection: number, bases: string[]): Promise<void> {
  const page = await walkFlow(await authorizationUrl(app.graphql, connection), bases);
  if (!page.text.includes('Connected')) throw new Error(`The flow ended with: ${page.text}`);
}

/** Changes rows of webhooks, in the order of locks that the server keeps to. */
export async function changeWebhooks(app: TestApp, what: string, which = 'true'): Promise<void> {
  await app.database.query(
    `UPDATE webhooks SET ${what} WHERE id IN (SELECT id FROM webhooks WHERE ${which} ORDER BY id FOR UPDATE)`,
  );
}

/** Has all webhooks compared with what the upstream says of them within the next second. */
export async function checkSoon(app: TestApp): Promise<void> {
  await changeWebhooks(app, 'checked_at = NULL, check_lease_until = NULL');
}

/** A tool of the same OAuth integration deletes a webhook behind our back. */
export async function deleteUpstream(app: TestApp, id: string): Promise<void> {
  const { accessToken: token } = await grantToken(app.sandbox.url);
  await call(app.sandbox.url, 'DELETE', `/v0/bases/${crm.baseId}/webhooks/${id}`, { token });
}

export interface HeldWebhook {
  id: string;
  baseId: string;
  areNotificationsEnabled: boolean;
  expirationTime: string;
}

/** What the upstream holds for a base. */
export async function heldUpstream(
  app: { sandbox: { url: string } },
  baseId: string = crm.baseId,
): Promise<HeldWebhook[]> {
  const { webhooks } = await control<{ webhooks: HeldWebhook[] }>(app.sandbox.url, 'webhooks');
  return webhooks.filter((webhook) => webhook.baseId === baseId);
}
