import { createClient, type Client } from 'graphql-ws';
import WebSocket from 'ws';
import type { TestApp } from '../support/app.ts';

export interface Event {
  __typename: 'RecordChange' | 'SchemaChange' | 'FeedPosition' | 'ChangesLost';
  cursor: string;
  kind?: string;
  recordId?: string;
  tableId?: string;
  leftFilter?: boolean;
  fields?: { id: string; name: string | null; previous: unknown; current: unknown }[];
  reason?: string;
  since?: string | null;
  until?: string;
}

export interface SubscriptionError {
  message: string;
  extensions?: { code?: string };
}

const document = `subscription ($connection: Int!, $baseId: String!, $tableId: String, $recordIds: [String!], $kinds: [ChangeKind!], $fields: [String!], $filter: RecordFilter, $after: Cursor) {
  recordChanges(connection: $connection, baseId: $baseId, tableId: $tableId, recordIds: $recordIds, kinds: $kinds, fields: $fields, filter: $filter, after: $after) {
    __typename
    ... on RecordChange { cursor kind recordId tableId leftFilter fields { id name previous current } }
    ... on SchemaChange { cursor }
    ... on FeedPosition { cursor }
    ... on ChangesLost { cursor reason since until }
  }
}`;

/** Somebody who listens over a WebSocket and keeps everything that was told. */
export class Subscriber {
  readonly events: Event[] = [];
  readonly errors: SubscriptionError[] = [];
  ended = false;
  /** Why the socket was closed; null while it is open. */
  closeCode: number | null = null;
  readonly #client: Client;
  readonly #end: () => void;

  constructor(app: TestApp, variables: Record<string, unknown>, text = document) {
    this.#client = createClient({
      url: `${app.url.replace('http', 'ws')}/graphql`,
      webSocketImpl: WebSocket,
      connectionParams: { authorization: `Bearer ${app.adminKey}` },
      retryAttempts: 0,
      on: { closed: (event) => (this.closeCode = (event as { code: number }).code) },
    });
    this.#end = this.#client.subscribe<{ recordChanges: Event }>(
      { query: text, variables },
      {
        next: ({ data, errors }) => {
          if (data?.recordChanges) this.events.push(data.recordChanges);
          this.errors.push(...((errors as SubscriptionError[] | undefined) ?? []));
        },
        error: (error) => {
          this.errors.push(
            ...(Array.isArray(error) ? (error as SubscriptionError[]) : [{ message: String(error) }]),
          );
          this.ended = true;
        },
        complete: () => {
          this.ended = true;
        },
      },
    );
  }

  /** Resolves once the first position has been told: from here on nothing is missed. */
  async started(): Promise<this> {
    await until(() => this.events.length > 0 || this.errors.length > 0);
    if (this.errors[0]) throw new Error(this.errors[0].message);
    return this;
  }

  get changes(): Event[] {
    return this.events.filter(({ __typename }) => __typename === 'RecordChange');
  }

  get losses(): Event[] {
    return this.events.filter(({ __typename }) => __typename === 'ChangesLost');
  }

  /** Where to resume from. */
  get cursor(): string | undefined {
    return this.events.at(-1)?.cursor;
  }

  /** Hangs up. */
  async cut(): Promise<void> {
    this.#end();
    await this.#client.dispose();
  }
}

/** Waits for a condition, looking every few milliseconds; fails after `timeoutMs`. */
export async function until(condition: () => boolean | Promise<boolean>, timeoutMs = 15_000): Promise<void> {
  const end = Date.now() + timeoutMs;
  while (!(await condition())) {
    if (Date.now() > end)
      throw new Error(`What was waited for did not happen within ${timeoutMs} ms: ${condition.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
