import { AppError } from '../errors.ts';
import { recordIdsFormula } from './formula.ts';
import { requireId } from './ids.ts';
import type { Operation } from './operation.ts';
import { readAllPages } from './pages.ts';
import { listRecordsRequest, type ListRecordsParams } from './list-records.ts';
import type { TokenSource } from './tokens.ts';
import type { Transport } from './transport.ts';
import type { Effect, UpstreamCall } from './upstream-call.ts';
import { maxPayloadsPerPage, webhookCalls } from './webhook-calls.ts';
import {
  answers,
  type CreatedWebhook,
  type PayloadPage,
  type WebhookSpecification,
  type WhoAmI,
  type WireBase,
  type WireRecord,
  type WireTable,
  type WireWebhook,
  type WrittenRecords,
} from './wire.ts';

/** Records in one write, as the upstream documents it. */
export const maxRecordsPerWrite = 10;
/** Records in one page, and so ids in one lookup. */
export const maxRecordsPerPage = 100;
/** Fields that an upsert may match by. */
export const maxMergeFields = 3;
/** Bases that a listing collects before it gives up: ten of the upstream's pages. */
const maxBases = 10_000;

/** Cells to write, by field id or name; `null` clears a cell. */
export interface RecordToCreate {
  fields: Record<string, unknown>;
}
export interface RecordToUpdate extends RecordToCreate {
  id: string;
}
export interface RecordToUpsert extends RecordToCreate {
  id?: string;
}

/**
 * The upstream's endpoints, one method each, for one connection and on behalf of one operation. Records come with their
 * cells by field id. Every method waits for the rate limit and repeats what is safe to repeat. A write whose effect can't
 * be known fails with an AppError that carries `details.outcome = "unknown"`; any other error of a write tells that it had
 * no effect.
 */
export class CalendlyApi {
  readonly #transport: Transport;
  readonly #tokens: TokenSource;
  readonly #operation: Operation;

  constructor(transport: Transport, tokens: TokenSource, operation: Operation) {
    this.#transport = transport;
    this.#tokens = tokens;
    this.#operation = operation;
  }

  whoAmI(): Promise<WhoAmI> {
    return this.#send({
      name: 'who am I',
      method: 'GET',
      path: '/v0/meta/whoami',
      baseId: null,
      effect: 'read',
      missing: 'NOT_FOUND',
      shape: answers.whoAmI,
    });
  }

  /** Every base that the grant covers. Empty can also mean that an enterprise policy hides them. */
  listBases(): Promise<WireBase[]> {
    return readAllPages({
      keyOf: (base) => base.id,
      maxItems: maxBases,
      readPage: async (offset) => {
        const page = await this.#send({
          name: 'list bases',
          method: 'GET',
          path: offset === null ? '/v0/meta/bases' : `/v0/meta/bases?offset=${encodeURIComponent(offset)}`,
          baseId: null,
          effect: 'read',
          missing: 'NOT_FOUND',
          shape: answers.bases,
        });
        return { items: page.bases, offset: page.offset || null };
      },
    });
  }

  /** All tables of a base with their fields and views, in one call. */
  async baseSchema(baseId: string): Promise<WireTable[]> {
    const answer = await this.#send({
      name: 'get base schema',
      method: 'GET',
      path: `/v0/meta/bases/${requireId('app', baseId)}/tables`,
      baseId,
      effect: 'read',
      missing: 'BASE_NOT_FOUND',
      shape: answers.tables,
    });
    return answer.tables;
  }

  /**
   * One page of records, and the offset of the next. An offset lives for minutes at the upstream; when it has died the
   * call fails with CURSOR_EXPIRED and the listing has to start again from the beginning.
   */
  async listRecords(
    baseId: string,
    tableId: string,
    params: ListRecordsParams,
  ): Promise<{ records: WireRecord[]; offset: string | null }> {
    const answer = await this.#send({
      name: 'list records',
      ...listRecordsRequest(tablePath(baseId, tableId), params),
      baseId,
      effect: 'read',
      missing: 'TABLE_NOT_FOUND',
      shape: answers.records,
    });
    return { records: answer.records, offset: answer.offset || null };
  }

  /**
   * The records of one table among at most 100 ids, in any order; what does not exist there is missing from the answer.
   * One call, unless the upstream hands out shorter pages. `fields` are ids or names; all cells by default.
   */
  async recordsByIds(
    baseId: string,
    tableId: string,
    ids: readonly string[],
    fields?: string[],
  ): Promise<WireRecord[]> {
    const wanted = [...new Set(ids)];
    requireCount(wanted.length, 0, maxRecordsPerPage, 'record ids in one lookup');
    if (wanted.length === 0) return [];
    const filterByFormula = recordIdsFormula(wanted);
    return readAllPages({
      keyOf: (record) => record.id,
      maxItems: maxRecordsPerPage,
      readPage: async (offset) => {
        const page = await this.listRecords(baseId, tableId, { filterByFormula, fields, offset });
        return { items: page.records, offset: page.offset };
      },
    });
  }

  /** All or none of at most ten, answered in order. */
  async createRecords(
    baseId: string,
    tableId: string,
    records: readonly RecordToCreate[],
    options: { typecast?: boolean } = {},
  ): Promise<WrittenRecords> {
    return this.#write('create records', 'POST', 'once', baseId, tableId, records, options);
  }

  /** All or none of at most ten. Other cells stay as they are, or with `replace` are cleared. */
  async updateRecords(
    baseId: string,
    tableId: string,
    records: readonly RecordToUpdate[],
    { typecast, replace }: { typecast?: boolean; replace?: boolean } = {},
  ): Promise<WrittenRecords> {
    for (const record of records) requireId('rec', record.id);
    const method = replace ? 'PUT' : 'PATCH';
    return this.#write('update records', method, 'repeatable', baseId, tableId, records, { typecast });
  }

  /** At most ten, each matched by one to three fields: none found creates, one updates, several fail the whole call. */
  async upsertRecords(
    baseId: string,
    tableId: string,
    records: readonly RecordToUpsert[],
    { typecast, fieldsToMergeOn }: { typecast?: boolean; fieldsToMergeOn: readonly string[] },
  ): Promise<WrittenRecords> {
    requireCount(fieldsToMergeOn.length, 1, maxMergeFields, 'fields to merge on');
    for (const record of records) if (record.id !== undefined) requireId('rec', record.id);
    return this.#write('upsert records', 'PATCH', 'once', baseId, tableId, records, {
      typecast,
      performUpsert: { fieldsToMergeOn },
    });
  }

  /** All or none of at most ten; answers the ids that are gone. */
  async deleteRecords(baseId: string, tableId: string, ids: readonly string[]): Promise<string[]> {
    requireCount(ids.length, 1, maxRecordsPerWrite, 'records in one delete');
    const query = ids.map((id) => `records[]=${requireId('rec', id)}`).join('&');
    try {
      const answer = await this.#send({
        name: 'delete records',
        method: 'DELETE',
        path: `${tablePath(baseId, tableId)}?${query}`,
        baseId,
        effect: 'repeatable',
        missing: 'RECORD_NOT_FOUND',
        shape: answers.deleted,
      });
      return answer.records.filter((record) => record.deleted).map((record) => record.id);
    } catch (error) {
      if (!wasRefusedAfterLostAnswer(error)) throw error;
      // Only a look that succeeds tells more than the error that we have.
      const left = await this.recordsByIds(baseId, tableId, ids).catch(() => null);
      if (left?.length !== 0) throw error;
      return [...ids];
    }
  }

  /** Only those that this integration made. */
  async listWebhooks(baseId: string): Promise<WireWebhook[]> {
    const answer = await this.#send(webhookCalls.list(baseId));
    return answer.webhooks;
  }

  /** Without `notificationUrl` its payloads can only be pulled. The answer's MAC secret is never shown again. */
  async createWebhook(
    baseId: string,
    body: { notificationUrl?: string; specification: WebhookSpecification },
  ): Promise<CreatedWebhook> {
    return this.#send(webhookCalls.create(baseId, body));
  }

  async deleteWebhook(baseId: string, webhookId: string): Promise<void> {
    try {
      await this.#send(webhookCalls.delete(baseId, webhookId));
    } catch (error) {
      if (!wasRefusedAfterLostAnswer(error)) throw error;
    }
  }

  /** Extends a living webhook to seven days from now. */
  async refreshWebhook(baseId: string, webhookId: string): Promise<{ expirationTime: string | null }> {
    const answer = await this.#send(webhookCalls.refresh(baseId, webhookId));
    return { expirationTime: answer.expirationTime ?? null };
  }

  /** The upstream switches pings off after a day of failures; payloads are kept all the same. */
  async enableNotifications(baseId: string, webhookId: string, enable: boolean): Promise<void> {
    await this.#send(webhookCalls.enableNotifications(baseId, webhookId, enable));
  }

  /**
   * At most `limit` payloads, 1 to 50, from number `cursor` on (the first is 1), and the number after the last. Extends the
   * webhook.
   */
  async listPayloads(
    baseId: string,
    webhookId: string,
    cursor: number,
    limit = maxPayloadsPerPage,
  ): Promise<PayloadPage> {
    requireCount(limit, 1, maxPayloadsPerPage, 'payloads in one page');
    return this.#send(webhookCalls.listPayloads(baseId, webhookId, cursor, limit));
  }

  async #write(
    name: string,
    method: 'POST' | 'PATCH' | 'PUT',
    effect: Effect,
    baseId: string,
    tableId: string,
    records: readonly RecordToUpsert[],
    options: Record<string, unknown>,
  ): Promise<WrittenRecords> {
    requireCount(records.length, 1, maxRecordsPerWrite, 'records in one write');
    return this.#send({
      name,
      method,
      path: tablePath(baseId, tableId),
      body: { records, ...options, returnFieldsByFieldId: true },
      baseId,
      effect,
      missing: 'RECORD_NOT_FOUND',
      // Which answer belongs to which record is told by their order alone.
      shape: answers.written.refine((answer) => answer.records.length === records.length),
    });
  }

  #send<Answer>(call: UpstreamCall<Answer>): Promise<Answer> {
    return this.#transport.send(call, this.#tokens, this.#operation);
  }
}

function tablePath(baseId: string, tableId: string): string {
  return `/v0/${requireId('app', baseId)}/${requireId('tbl', tableId)}`;
}

function requireCount(count: number, min: number, max: number, what: string): void {
  if (count >= min && count <= max) return;
  throw new AppError('TOO_MANY', `There must be ${min} to ${max} ${what}, not ${count}.`, {
    details: { max },
  });
}

/**
 * A delete was sent, its answer was lost, it was sent again and the upstream said that there is no such thing: most
 * likely the first one has worked.
 */
function wasRefusedAfterLostAnswer(error: unknown): boolean {
  if (!(error instanceof AppError) || error.details.afterLostAnswer !== true) return false;
  const status = error.details.upstreamStatus;
  return status === 403 || status === 404 || status === 422;
}
