import { setTimeout as delay } from 'node:timers/promises';
import { createClient, type Client } from 'graphql-ws';
import { WebSocket } from 'ws';
import type { SeededRandom } from '../support/seeded-random.ts';
import type { ToldChange } from './ledger-comparison.ts';

type FeedEvent =
  | ({ __typename: 'RecordChange' } & ToldChange)
  | { __typename: 'FeedPosition' | 'SchemaChange'; cursor: string }
  | { __typename: 'ChangesLost'; cursor: string; reason: string };

const document = `subscription ($connection: Int!, $baseId: String!, $tableId: String, $after: Cursor) {
  recordChanges(connection: $connection, baseId: $baseId, tableId: $tableId, after: $after) {
    __typename
    ... on RecordChange { cursor kind tableId recordId fields { id current } }
    ... on SchemaChange { cursor }
    ... on FeedPosition { cursor }
    ... on ChangesLost { cursor reason }
  }
}`;

/** Pause before a subscriber comes back, at most. */
const longestPauseMs = 300;

/**
 * Somebody who listens as our documentation tells: keeps the last cursor, and comes back with it whenever the socket
 * is gone, to whichever server. What was told is kept over all sockets.
 */
export class ResumingSubscriber {
  readonly told: ToldChange[] = [];
  readonly lost: string[] = [];
  /** How often it came back, and what it heard when it could not. */
  resumes = 0;
  readonly refusals: Record<string, number> = {};
  /** The code with which its first socket was closed. */
  firstClose: number | null = null;
  cursor: string | null = null;
  readonly #options: Options;
  #isOver = false;
  #socket: WebSocket | null = null;
  #life: Promise<void>;

  constructor(options: Options) {
    this.#options = options;
    this.cursor = options.after ?? null;
    this.#life = this.#live();
  }

  /** The table that it listens to alone, if any. */
  get tableId(): string | null {
    return this.#options.variables.tableId ?? null;
  }

  /** Breaks the connection, as a network does it. */
  cut(): void {
    this.#socket?.terminate();
  }

  async end(): Promise<void> {
    this.#isOver = true;
    this.cut();
    await this.#life;
  }

  async #live(): Promise<void> {
    const { random } = this.#options;
    while (!this.#isOver) {
      await this.#listen();
      if (this.#isOver) return;
      this.resumes += 1;
      await delay(random.between(0, longestPauseMs));
    }
  }

  /** Until the socket is gone, or the subscription has ended. */
  async #listen(): Promise<void> {
    const { url, key, variables } = this.#options;
    const keep = (socket: WebSocket): void => {
      this.#socket = socket;
      socket.once('close', (code) => (this.firstClose ??= code));
    };
    const client: Client = createClient({
      url: `${url().replace(/^http/, 'ws')}/graphql`,
      webSocketImpl: class extends WebSocket {
        constructor(address: string, protocols: string[]) {
          super(address, protocols);
          keep(this);
        }
      },
      connectionParams: { authorization: `Bearer ${key}` },
      retryAttempts: 0,
    });
    await new Promise<void>((resolve) => {
      client.subscribe<{ recordChanges: FeedEvent }>(
        { query: document, variables: { ...variables, after: this.cursor } },
        {
          next: ({ data, errors }) => {
            if (data) this.#hear(data.recordChanges);
            for (const { extensions } of errors ?? []) this.#refused(String(extensions?.['code']));
          },
          error: (error) => {
            const codes = Array.isArray(error) ? error.map(({ extensions }) => String(extensions?.code)) : [];
            for (const code of codes) this.#refused(code);
            resolve();
          },
          complete: resolve,
        },
      );
    });
    await client.dispose();
  }

  #hear(event: FeedEvent): void {
    if (event.__typename === 'RecordChange') this.told.push(event);
    if (event.__typename === 'ChangesLost') this.lost.push(event.reason);
    this.cursor = event.cursor;
  }

  #refused(code: string): void {
    this.refusals[code] = (this.refusals[code] ?? 0) + 1;
  }
}

interface Options {
  /** The server that it comes to next. */
  url: () => string;
  key: string;
  variables: { connection: number; baseId: string; tableId?: string };
  random: SeededRandom;
  /** The cursor to begin with. */
  after?: string | null;
}
