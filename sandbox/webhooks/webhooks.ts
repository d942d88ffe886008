import { randomBytes } from 'node:crypto';
import { ApiError, invalidRequest, notFound } from '../api-error.ts';
import type { Transaction } from '../changes/transaction.ts';
import type { SandboxContext } from '../context.ts';
import { PERSONAL_CLIENT_ID } from '../oauth/grants.ts';
import type { Grant } from '../oauth/grant.ts';
import type { Collection } from '../state/collection.ts';
import { PayloadLog, type PayloadPage } from './payload-log.ts';
import { Pings } from './pings.ts';
import type { Specification } from './specification.ts';
import { TransactionReader } from './transaction-reader.ts';
import { missingThing } from './watched-things.ts';
import { isActive, type WebhookDoc } from './webhook.ts';

/** Who asks, and for which base. */
export interface Asker {
  baseId: string;
  grant: Grant;
}

/**
 * The webhooks of all integrations. Each makes payloads from the transactions of its base while it is active: until a
 * lease that is extended by refreshing or reading ends, or until something it watches is gone. Then what was written
 * stays readable for a while.
 */
export class Webhooks {
  readonly pings: Pings;
  readonly #docs: Collection<WebhookDoc>;
  readonly #log: PayloadLog;
  readonly #reader: TransactionReader;

  constructor(private readonly context: SandboxContext) {
    this.#docs = context.state.collection('webhooks');
    this.#log = new PayloadLog(context.state, context.clock, context.settings);
    this.#reader = new TransactionReader(context);
    this.pings = new Pings(this.#docs, context.clock, context.settings);
    for (const webhook of this.#docs.values()) this.#reader.prepare(webhook);
    context.ledger.onTransaction((transaction) => this.#record(transaction));
    this.pings.review();
  }

  create({ baseId, grant }: Asker, specification: Specification, notificationUrl: string | null): WebhookDoc {
    const { clock, grants, ids, settings } = this.context;
    this.#refuseTooMany(baseId, grant.clientId);
    const missing = missingThing(this.context.bases, baseId, specification.options.filters);
    if (missing !== null) throw invalidRequest(`Invalid request: there is no ${missing} in this base`);
    const macSecretBase64 = randomBytes(32).toString('base64');
    const webhook: WebhookDoc = {
      id: ids.next('ach'),
      baseId,
      clientId: grant.clientId,
      userId: grant.userId,
      notificationUrl,
      specification,
      macSecretBase64,
      expiresAt: clock.now() + settings.limits.webhookLifetimeMs,
      isIntact: true,
      areNotificationsEnabled: true,
      lastSuccessfulNotificationTime: null,
      lastNotificationResult: null,
      nextPayload: 1,
      duePing: null,
    };
    grants.issued.record('webhookMacSecret', macSecretBase64);
    this.#docs.put(webhook.id, webhook);
    this.#reader.prepare(webhook);
    if (settings.switches.pingOnCreate) this.pings.notify(webhook.id);
    return webhook;
  }

  /** The asker's own ones in the base. */
  list({ baseId, grant }: Asker): WebhookDoc[] {
    return this.all().filter((webhook) => webhook.baseId === baseId && webhook.clientId === grant.clientId);
  }

  /** Every webhook there is, of whichever integration. */
  all(): WebhookDoc[] {
    this.#dropUnreadable();
    return [...this.#docs.values()];
  }

  /** Throws ApiError 404, also for the webhook of another integration. */
  get(asker: Asker, webhookId: string): WebhookDoc {
    const webhook = this.list(asker).find((candidate) => candidate.id === webhookId);
    if (!webhook) throw notFound();
    return webhook;
  }

  delete(webhook: WebhookDoc): void {
    this.context.state.atomically(() => {
      this.#docs.delete(webhook.id);
      this.#log.delete(webhook.id);
    });
    this.pings.forget(webhook.id);
  }

  /** Extends the life of an active webhook. Throws ApiError 422 for one that is not. */
  refresh(webhook: WebhookDoc): WebhookDoc {
    if (isActive(webhook, this.context.clock.now())) return this.#extended(webhook);
    throw invalidRequest('Invalid request: the webhook is disabled or has expired; create a new one');
  }

  /** Turning notifications on makes up for a ping that was given up. */
  setNotifications(webhook: WebhookDoc, enable: boolean): void {
    if (enable && webhook.notificationUrl === null) {
      throw invalidRequest('Invalid request: the webhook has no notificationUrl');
    }
    const wasOff = !webhook.areNotificationsEnabled;
    this.#docs.put(webhook.id, {
      ...webhook,
      areNotificationsEnabled: enable,
      ...(enable ? {} : { duePing: null }),
    });
    if (enable && wasOff && webhook.nextPayload > 1) this.pings.notify(webhook.id);
  }

  /** Reading extends the life of an active webhook. */
  payloads(webhook: WebhookDoc, cursor: number, limit: number): PayloadPage {
    if (isActive(webhook, this.context.clock.now())) this.#extended(webhook);
    return this.#log.read(webhook.id, cursor, limit);
  }

  reset(): void {
    this.pings.reset();
    this.#reader.reset();
  }

  close(): Promise<void> {
    return this.pings.close();
  }

  #record(transaction: Transaction): void {
    this.#dropUnreadable();
    const now = this.context.clock.now();
    const here = [...this.#docs.values()].filter((webhook) => webhook.baseId === transaction.baseId);
    for (const { webhook, payload } of this.#reader.read(transaction, here)) {
      if (!isActive(webhook, now)) continue;
      const broken = 'error' in payload;
      this.context.state.atomically(() => {
        this.#log.append(webhook.id, webhook.nextPayload, payload);
        const nextPayload = webhook.nextPayload + 1;
        this.#docs.put(webhook.id, { ...webhook, nextPayload, isIntact: !broken });
      });
      this.pings.notify(webhook.id);
    }
  }

  #extended(webhook: WebhookDoc): WebhookDoc {
    const expiresAt = this.context.clock.now() + this.context.settings.limits.webhookLifetimeMs;
    const extended = { ...webhook, expiresAt };
    this.#docs.put(webhook.id, extended);
    return extended;
  }

  /** An expired webhook counts until it is deleted or no longer readable. */
  #refuseTooMany(baseId: string, clientId: string): void {
    const { webhooksPerBase, webhooksPerClientAndBase } = this.context.settings.limits;
    const here = this.all().filter((webhook) => webhook.baseId === baseId);
    if (here.length >= webhooksPerBase) throw new ApiError(422, 'TOO_MANY_WEBHOOKS_IN_BASE');
    const own = here.filter((webhook) => webhook.clientId === clientId);
    if (clientId !== PERSONAL_CLIENT_ID && own.length >= webhooksPerClientAndBase) {
      throw new ApiError(422, 'TOO_MANY_WEBHOOKS_BY_OAUTH_INTEGRATION_IN_BASE');
    }
  }

  #dropUnreadable(): void {
    const horizon = this.context.clock.now() - this.context.settings.limits.webhookReadableMs;
    for (const webhook of this.#docs.values()) if (webhook.expiresAt <= horizon) this.delete(webhook);
  }
}
