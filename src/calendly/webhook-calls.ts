import { requireId } from './ids.ts';
import type { UpstreamCall } from './upstream-call.ts';
import { answers, type CreatedWebhook, type PayloadPage, type WebhookSpecification } from './wire.ts';

/** Payloads in one page. */
export const maxPayloadsPerPage = 50;

/** The calls of the webhook endpoints, as `CalendlyApi` sends them. */
export const webhookCalls = {
  list: (baseId: string) => ({
    name: 'list webhooks',
    method: 'GET' as const,
    path: webhooksPath(baseId),
    baseId,
    effect: 'read' as const,
    missing: 'BASE_NOT_FOUND' as const,
    shape: answers.webhooks,
  }),

  create: (
    baseId: string,
    body: { notificationUrl?: string; specification: WebhookSpecification },
  ): UpstreamCall<CreatedWebhook> => ({
    name: 'create webhook',
    method: 'POST',
    path: webhooksPath(baseId),
    body,
    baseId,
    effect: 'once',
    missing: 'BASE_NOT_FOUND',
    shape: answers.createdWebhook,
  }),

  delete: (baseId: string, webhookId: string) => ofOne('delete webhook', 'DELETE', baseId, webhookId, ''),

  refresh: (baseId: string, webhookId: string) => ({
    ...ofOne('refresh webhook', 'POST', baseId, webhookId, '/refresh'),
    shape: answers.refreshedWebhook,
  }),

  enableNotifications: (baseId: string, webhookId: string, enable: boolean) => ({
    ...ofOne('enable notifications', 'POST', baseId, webhookId, '/enableNotifications'),
    body: { enable },
  }),

  listPayloads: (
    baseId: string,
    webhookId: string,
    cursor: number,
    limit: number,
  ): UpstreamCall<PayloadPage> => ({
    ...ofOne(
      'list payloads',
      'GET',
      baseId,
      webhookId,
      `/payloads?cursor=${Math.trunc(cursor)}&limit=${Math.trunc(limit)}`,
    ),
    effect: 'read',
    shape: answers.payloads,
  }),
};

function ofOne(
  name: string,
  method: 'GET' | 'POST' | 'DELETE',
  baseId: string,
  webhookId: string,
  rest: string,
): UpstreamCall<unknown> & { shape: null } {
  return {
    name,
    method,
    path: `${webhooksPath(baseId)}/${requireId('ach', webhookId)}${rest}`,
    baseId,
    effect: 'repeatable',
    missing: 'WEBHOOK_NOT_FOUND',
    shape: null,
  };
}

function webhooksPath(baseId: string): string {
  return `/v0/bases/${requireId('app', baseId)}/webhooks`;
}
