import type { DataSource } from 'typeorm';
import type { BaseSchemas } from '../bases/base-schemas.ts';
import type { Operation } from '../calendly/operation.ts';
import type { PayloadPage } from '../calendly/wire.ts';
import type { LogEntry } from '../changes/log-entry.ts';
import type { Clock } from '../clock.ts';
import type { Logger } from '../logger.ts';
import { mayRepeat, toldBefore, withoutRepeats } from './overlap.ts';
import {
  entriesOf,
  missingPayloads,
  numberPayloads,
  type FieldName,
  type NumberedPayload,
} from './payload-entries.ts';
import type { UnreadPayload } from './unread-payloads.ts';
import type { Webhook } from './webhook.ts';

export interface PageEntriesDeps {
  database: DataSource;
  schemas: BaseSchemas;
  clock: Clock;
  logger: Logger;
}

/** What a page of payloads says, as the log keeps it. */
export interface ReadPage {
  entries: LogEntry[];
  /** The highest number of a transaction in it; null when no payload tells one. */
  lastTransaction: number | null;
  unread: UnreadPayload[];
}

/** Makes log entries of what a webhook's payloads say. */
export class PageEntries {
  readonly #deps: PageEntriesDeps;

  constructor(deps: PageEntriesDeps) {
    this.#deps = deps;
  }

  /** @param wanted number of the payload that was asked for; what lies before the first one that came is lost */
  async read(webhook: Webhook, wanted: number, page: PayloadPage, operation: Operation): Promise<ReadPage> {
    const now = new Date(this.#deps.clock.now());
    const payloads = numberPayloads(page);
    if (payloads.some(({ decoded }) => decoded.schemaChanges.length > 0))
      this.#deps.schemas.forget(webhook.baseId);
    const hasCells = payloads.some(({ decoded }) => decoded.changes.some(({ kind }) => kind !== 'deleted'));
    const fieldName = hasCells ? await this.#fieldNames(webhook, operation) : () => null;
    const { feedId, generation, overlap } = webhook;
    const doubtful = payloads.filter((payload) => mayRepeat(payload, overlap));
    const told = overlap ? await toldBefore(this.#deps.database, feedId, overlap, doubtful) : [];
    const entries = payloads.flatMap((payload) => {
      const all = entriesOf(payload, generation, fieldName, now);
      return doubtful.includes(payload) ? withoutRepeats(all, told) : all;
    });
    const first = page.cursor - page.payloads.length;
    if (first > wanted)
      entries.unshift(
        missingPayloads(generation, first, await this.#lastKnownAt(webhook), entries[0]?.occurredAt ?? now),
      );
    return { entries, lastTransaction: highest(payloads), unread: unreadOf(payloads) };
  }

  /** All that lies before a number that the upstream has told, and that it does not hand out any more. */
  async missing(webhook: Webhook, known: number): Promise<ReadPage> {
    const since = await this.#lastKnownAt(webhook);
    const lost = missingPayloads(webhook.generation, known, since, new Date(this.#deps.clock.now()));
    return { entries: [lost], lastTransaction: null, unread: [] };
  }

  /** One payload that is passed without having been read. */
  async tooLarge(webhook: Webhook, payload: number): Promise<ReadPage> {
    const since = await this.#lastKnownAt(webhook);
    const until = new Date(this.#deps.clock.now());
    const lost: LogEntry = {
      kind: 'lost',
      position: { generation: webhook.generation, payload, ordinal: 0 },
      occurredAt: until,
      source: 'system',
      actor: null,
      transaction: null,
      loss: { reason: 'payload_too_large', since: since.toISOString(), until: until.toISOString() },
    };
    return { entries: [lost], lastTransaction: null, unread: [] };
  }

  /**
   * When the newest payload that we have was written: those that are missing came after it. The last drain proves less:
   * it may have found nothing because they were gone already.
   */
  async #lastKnownAt({ feedId, generation, createdAt }: Webhook): Promise<Date> {
    const [newest] = await this.#deps.database.query<{ at: Date }[]>(
      `SELECT occurred_at AS at FROM changes WHERE feed_id = $1 AND generation = $2
       ORDER BY payload DESC, ordinal DESC LIMIT 1`,
      [feedId, generation],
    );
    return newest?.at ?? createdAt;
  }

  /** Names are a courtesy: without the scope, or when the schema can't be had now, changes carry ids alone. */
  async #fieldNames(webhook: Webhook, operation: Operation): Promise<FieldName> {
    try {
      const schema = await this.#deps.schemas.get(webhook.connectionId ?? 0, webhook.baseId, operation);
      return (tableId, fieldId) => schema.findTable(tableId)?.findField(fieldId)?.name ?? null;
    } catch (error) {
      this.#deps.logger.debug(
        { err: error, baseId: webhook.baseId },
        'changes are logged without field names',
      );
      return () => null;
    }
  }
}

function highest(payloads: NumberedPayload[]): number | null {
  const numbers = payloads.flatMap(({ decoded }) => decoded.transaction ?? []);
  return numbers.length > 0 ? Math.max(...numbers) : null;
}

function unreadOf(payloads: NumberedPayload[]): UnreadPayload[] {
  return payloads.flatMap(({ number, decoded: { unread } }) => (unread === null ? [] : [{ number, unread }]));
}
