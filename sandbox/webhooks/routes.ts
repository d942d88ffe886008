import { invalidRequest, notPermittedOrNotFound } from '../api-error.ts';
import type { SandboxContext } from '../context.ts';
import type { Reply, SandboxRequest } from '../http/message.ts';
import type { Router } from '../http/router.ts';
import { hasType, readSpecification, type Specification } from './specification.ts';
import { showWebhook, type WebhookDoc } from './webhook.ts';
import type { Asker, Webhooks } from './webhooks.ts';

const ROOT = '/v0/bases/:baseId/webhooks';
const ONE = `${ROOT}/:webhookId`;
const SCOPES = ['webhook:manage'];
const MAX_URL_CHARACTERS = 2_000;

/** The webhook endpoints. Reading needs the role `read` in the base, everything else `create`. */
export function webhookRoutes(router: Router, context: SandboxContext, webhooks: Webhooks): void {
  const { clock, settings } = context;
  const empty = (): Reply => ({ status: settings.switches.emptyWebhookStatus });
  const find = (request: SandboxRequest) => webhooks.get(asker(request), request.params.webhookId ?? '');

  router.add('POST', ROOT, {
    endpoint: 'createWebhook',
    scopes: SCOPES,
    baseRole: 'create',
    handler: (request) => {
      const { notificationUrl, specification } = readCreation(request.json());
      requireDataScopes(request, specification);
      const webhook = webhooks.create(asker(request), specification, notificationUrl);
      const { id, macSecretBase64 } = webhook;
      return { status: 200, json: { id, macSecretBase64, expirationTime: expirationTime(webhook) } };
    },
  });
  router.add('GET', ROOT, {
    endpoint: 'listWebhooks',
    scopes: SCOPES,
    handler: (request) => {
      const own = webhooks.list(asker(request)).map((webhook) => showWebhook(webhook, clock.now()));
      return { status: 200, json: { webhooks: own } };
    },
  });
  router.add('DELETE', ONE, {
    endpoint: 'deleteWebhook',
    scopes: SCOPES,
    baseRole: 'create',
    handler: (request) => {
      webhooks.delete(find(request));
      return empty();
    },
  });
  router.add('POST', `${ONE}/refresh`, {
    endpoint: 'refreshWebhook',
    scopes: SCOPES,
    baseRole: 'create',
    handler: (request) => {
      const refreshed = webhooks.refresh(find(request));
      return { status: 200, json: { expirationTime: expirationTime(refreshed) } };
    },
  });
  router.add('POST', `${ONE}/enableNotifications`, {
    endpoint: 'enableWebhookNotifications',
    scopes: SCOPES,
    baseRole: 'create',
    handler: (request) => {
      const body = request.json();
      const enable = typeof body === 'object' && body !== null && 'enable' in body ? body.enable : undefined;
      if (typeof enable !== 'boolean') throw invalidRequest('Invalid request: enable must be true or false');
      webhooks.setNotifications(find(request), enable);
      return empty();
    },
  });
  router.add('GET', `${ONE}/payloads`, {
    endpoint: 'listWebhookPayloads',
    scopes: SCOPES,
    handler: (request) => {
      const webhook = find(request);
      requireDataScopes(request, webhook.specification);
      const most = settings.limits.payloadsPerPage;
      const cursor = wholeNumber(request.query.get('cursor'), 'cursor', 1, Number.MAX_SAFE_INTEGER);
      const limit = wholeNumber(request.query.get('limit'), 'limit', most, most);
      return { status: 200, json: webhooks.payloads(webhook, cursor, limit) };
    },
  });
}

function asker({ params, grant }: SandboxRequest): Asker {
  return { baseId: params.baseId ?? '', grant };
}

function readCreation(body: unknown): { notificationUrl: string | null; specification: Specification } {
  if (typeof body !== 'object' || body === null)
    throw invalidRequest('Invalid request: the body must be an object');
  const { notificationUrl = null, specification } = body as Record<string, unknown>;
  if (notificationUrl !== null && !isWebAddress(notificationUrl)) {
    throw invalidRequest('Invalid request: notificationUrl must be an http or https URL');
  }
  return { notificationUrl, specification: readSpecification(specification) };
}

function isWebAddress(value: unknown): value is string {
  if (typeof value !== 'string' || value.length > MAX_URL_CHARACTERS || !URL.canParse(value)) return false;
  const { protocol, username } = new URL(value);
  return (protocol === 'http:' || protocol === 'https:') && username === '';
}

/** Creating and reading need the right to what the payloads tell: 403, as for any missing scope. */
function requireDataScopes({ grant }: SandboxRequest, specification: Specification): void {
  const needed: string[] = [];
  if (hasType(specification, 'tableData')) needed.push('data.records:read');
  if (hasType(specification, 'tableFields') || hasType(specification, 'tableMetadata'))
    needed.push('schema.bases:read');
  if (!needed.every((scope) => grant.scopes.includes(scope))) throw notPermittedOrNotFound();
}

function wholeNumber(text: string | null, name: string, fallback: number, most: number): number {
  if (text === null || text === '') return fallback;
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= 1 && value <= most) return value;
  throw invalidRequest(`Invalid request: ${name} must be a whole number from 1 to ${most}`);
}

function expirationTime({ expiresAt }: WebhookDoc): string {
  return new Date(expiresAt).toISOString();
}
