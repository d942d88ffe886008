import type { Transaction } from '../changes/transaction.ts';
import type { SandboxContext } from '../context.ts';
import { actionMetadata } from './action-metadata.ts';
import { changePayload, payloadHead, type FieldIdsByTable, type Payload, type ViewScope } from './payload.ts';
import { ViewMembers } from './view-members.ts';
import { findView, missingThing } from './watched-things.ts';
import type { WebhookDoc } from './webhook.ts';

/** Reads a transaction with the eyes of each webhook. */
export class TransactionReader {
  readonly #members: ViewMembers;

  constructor(private readonly context: SandboxContext) {
    this.#members = new ViewMembers(context);
  }

  /** To be called before the first transaction that the webhook sees. */
  prepare({ baseId, specification }: WebhookDoc): void {
    const scoped = findView(
      this.context.bases,
      baseId,
      specification.options.filters.recordChangeScope ?? '',
    );
    if (scoped) this.#members.watch(scoped);
  }

  /** The payloads that the webhooks get from the transaction; those that get none are left out. */
  read(transaction: Transaction, webhooks: WebhookDoc[]): { webhook: WebhookDoc; payload: Payload }[] {
    if (webhooks.length === 0) return [];
    const { bases, users } = this.context;
    const level = users.roleIn(transaction.user?.id ?? '', transaction.baseId);
    const head = payloadHead(transaction, actionMetadata(transaction, level, bases));
    const fieldIds = this.#fieldIdsByTable(transaction.baseId);
    const views = this.#viewScopes(transaction, webhooks);
    return webhooks.flatMap((webhook): { webhook: WebhookDoc; payload: Payload }[] => {
      const { filters } = webhook.specification.options;
      if (missingThing(bases, transaction.baseId, filters) !== null) {
        return [{ webhook, payload: { ...head, error: true, code: 'INVALID_FILTERS' } }];
      }
      const view = views.get(filters.recordChangeScope ?? '') ?? null;
      const payload = changePayload(transaction, webhook.specification, head, fieldIds, view);
      return payload ? [{ webhook, payload }] : [];
    });
  }

  reset(): void {
    this.#members.clear();
  }

  #fieldIdsByTable(baseId: string): FieldIdsByTable {
    const tables = this.context.bases.tables(baseId);
    return Object.fromEntries(tables.map((table) => [table.id, table.fields.map((field) => field.id)]));
  }

  /** Each view is judged once, however many webhooks look at it. */
  #viewScopes(transaction: Transaction, webhooks: WebhookDoc[]): Map<string, ViewScope> {
    const scopes = new Map<string, ViewScope>();
    for (const { specification } of webhooks) {
      const viewId = specification.options.filters.recordChangeScope ?? '';
      if (!viewId.startsWith('viw') || scopes.has(viewId)) continue;
      const scoped = findView(this.context.bases, transaction.baseId, viewId);
      if (!scoped) {
        this.#members.forget(viewId);
        continue;
      }
      const moves = this.#members.apply(scoped, transaction);
      const createdTimes: Record<string, string> = {};
      for (const recordId of moves.entered) {
        const record = this.context.records.find(scoped.table.id, recordId);
        if (record) createdTimes[recordId] = record.createdTime;
      }
      scopes.set(viewId, { tableId: scoped.table.id, viewId, moves, createdTimes });
    }
    return scopes;
  }
}
