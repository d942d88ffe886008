import { control, type TestApp, type UntypedData } from '../support/app.ts';
import { createSync, crm, readSync, until, upstreamRecords } from './sync-app.ts';

let tables = 0;

/** A small table of its own, both upstream and in PostgreSQL, that a sync keeps in step. */
export class TwoWayTable {
  readonly app: TestApp;
  readonly tableId: string;
  /** Ids of the fields, by their column. */
  readonly fields: Record<string, string>;
  readonly syncId: string;
  /** The last transaction upstream before it was made. */
  readonly #since: number;
  /** As it is written in SQL. */
  readonly table: string;

  private constructor(
    app: TestApp,
    known: { tableId: string; fields: Record<string, string>; syncId: string; table: string; since: number },
  ) {
    this.app = app;
    this.tableId = known.tableId;
    this.fields = known.fields;
    this.syncId = known.syncId;
    this.table = known.table;
    this.#since = known.since;
  }

  /** @returns its id */
  static async upstream(app: TestApp, names: string[] = []): Promise<string> {
    tables += 1;
    const { tableId } = await control<{ tableId: string }>(app.sandbox.url, 'schema', {
      baseId: crm.baseId,
      addTable: {
        name: `Tasks ${tables}`,
        fields: [
          { name: 'Name', type: 'singleLineText' },
          { name: 'Points', type: 'number', options: { precision: 1 } },
          { name: 'Done', type: 'checkbox', options: { icon: 'check', color: 'greenBright' } },
          { name: 'Due', type: 'date', options: { dateFormat: { name: 'iso', format: 'YYYY-MM-DD' } } },
          { name: 'Kind', type: 'singleSelect', options: { choices: [{ name: 'Bug' }, { name: 'Chore' }] } },
          {
            name: 'Tags',
            type: 'multipleSelects',
            options: { choices: [{ name: 'a' }, { name: 'b' }, { name: 'c' }] },
          },
          { name: 'Created', type: 'createdTime', options: { result: { type: 'dateTime' } } },
        ],
      },
    });
    if (names.length > 0)
      await control(app.sandbox.url, 'edits', {
        baseId: crm.baseId,
        tableId,
        create: names.map((name) => ({ fields: { Name: name } })),
      });
    return tableId;
  }

  /** Waits until it is filled. @param input of `createSync`, beside where it is */
  static async make(app: TestApp, connection: number, tableId: string, input: object): Promise<TwoWayTable> {
    const made = await createSync(app, connection, { tableId, direction: 'TWO_WAY', ...input });
    if (!made.id) throw new Error(`There is no sync: ${JSON.stringify(made)}`);
    const fields = Object.fromEntries(
      made.columns.map(({ column, fieldId }: UntypedData) => [column, fieldId as string]),
    ) as Record<string, string>;
    const { transaction } = await lastChange(app, tableId);
    const table = new TwoWayTable(app, {
      tableId,
      fields,
      syncId: made.id,
      table: made.table,
      since: transaction,
    });
    await table.live();
    return table;
  }

  async live(): Promise<void> {
    await until(
      async () => (await readSync(this.app, this.syncId)).state === 'LIVE',
      `${this.table} is filled`,
    );
  }

  query(text: string, params?: unknown[]): Promise<UntypedData[]> {
    return this.app.database.query(text.replaceAll('$table', this.table), params);
  }

  /** The row of that name, as JSON. */
  async row(name: string): Promise<UntypedData> {
    const [found] = await this.query('SELECT to_jsonb(t) AS row FROM $table AS t WHERE name = $1', [name]);
    return found?.row ?? null;
  }

  /** A person edits the table in the service's own pages. @returns ids of what was created */
  async edit(what: object): Promise<string[]> {
    const { created } = await control<{ created: string[] }>(this.app.sandbox.url, 'edits', {
      baseId: crm.baseId,
      tableId: this.tableId,
      ...what,
    });
    return created;
  }

  /** What the upstream has, by record, with its cells by column. */
  async records(): Promise<Map<string, Record<string, UntypedData>>> {
    const found = await upstreamRecords(this.app.sandbox.url, { baseId: crm.baseId, tableId: this.tableId });
    return new Map(
      [...found].map(([id, record]) => [
        id,
        Object.fromEntries(
          Object.entries(this.fields)
            .filter(([, fieldId]) => fieldId in record.fields)
            .map(([column, fieldId]) => [column, record.fields[fieldId]]),
        ),
      ]),
    );
  }

  async recordOf(name: string): Promise<Record<string, UntypedData> & { id: string }> {
    const found = [...(await this.records())].find(([, cells]) => cells['name'] === name);
    if (!found) throw new Error(`No record is called ${name}.`);
    return { id: found[0], ...found[1] };
  }

  /** Waits until both sides know everything of each other. */
  async quiet(timeoutMs?: number): Promise<void> {
    await until(
      async () => {
        await this.#passTime();
        const { transaction } = await lastChange(this.app, this.tableId);
        // In one statement: what is left is to be nothing in the moment in which everything was heard of.
        const [now] = await this.query(
          `SELECT (SELECT count(*) FROM sync_outbox WHERE sync_id = s.id)::int + (SELECT count(*) FROM sync_writes WHERE sync_id = s.id)::int
                    + (SELECT count(*) FROM sync_pending WHERE sync_id = s.id AND parked_at IS NULL)::int AS left,
                  coalesce((SELECT max(upstream_transaction) FROM changes WHERE table_id = s.table_id), 0)::int AS logged,
                  EXISTS (SELECT 1 FROM changes AS c WHERE c.feed_id = s.feed_id AND c.table_id = s.table_id
                          AND (c.generation, c.payload, c.ordinal) > (s.generation, s.payload, s.ordinal))
                    OR s.rows_outdated AS behind
           FROM syncs AS s WHERE s.id = $1`,
          [this.syncId],
        );
        const isHeard = transaction <= this.#since || now.logged >= transaction;
        if (isHeard && !now.behind && now.left === 0)
          return (await lastChange(this.app, this.tableId)).transaction === transaction;
        // Should the ping be lost, or nothing be told that would show how late it is.
        if (!isHeard || now.left > 0) await this.#ask();
        return false;
      },
      `${this.table} and Calendly know all of each other`,
      timeoutMs,
    );
  }

  /** What of it has not been sent, or not been seen in the log. */
  async left(): Promise<{
    captured: number;
    pending: number;
    sending: number;
    unknown: number;
    written: number;
  }> {
    const [row] = await this.query(
      `SELECT (SELECT count(*) FROM sync_outbox WHERE sync_id = $1)::int AS captured,
              (SELECT count(*) FROM sync_pending WHERE sync_id = $1 AND parked_at IS NULL)::int AS pending,
              count(*) FILTER (WHERE state = 'sending')::int AS sending, count(*) FILTER (WHERE state = 'unknown')::int AS unknown,
              count(*) FILTER (WHERE state = 'written')::int AS written
       FROM sync_writes WHERE sync_id = $1`,
      [this.syncId],
    );
    return row;
  }

  /** Has changes asked for, unless that was done a moment ago. */
  async #ask(): Promise<void> {
    await this.query(
      `UPDATE webhooks SET drain_wanted_at = clock_timestamp(), drain_not_before = NULL
       WHERE feed_id = (SELECT feed_id FROM syncs WHERE id = $1) AND drain_wanted_at IS NULL
         AND last_drained_at < clock_timestamp() - interval '0.2 s'`,
      [this.syncId],
    );
  }

  /**
   * Waits by PostgreSQL's clock, which no test can move, are over: for an answer that was lost, once the log has been applied
   * beyond it, and until what can be repeated is.
   */
  async #passTime(): Promise<void> {
    await this.query(
      `UPDATE sync_writes AS w SET ended_at = w.ended_at - interval '11 min' FROM syncs AS s
       WHERE s.id = w.sync_id AND w.sync_id = $1 AND w.state = 'unknown' AND w.ended_at < s.as_of AND w.ended_at > s.as_of - interval '10 min'`,
      [this.syncId],
    );
    await this.query(
      'UPDATE sync_pending SET next_attempt_at = NULL WHERE sync_id = $1 AND next_attempt_at IS NOT NULL',
      [this.syncId],
    );
  }

  /** How many write requests of ours took effect upstream. */
  async writes(): Promise<number> {
    const { writes } = await control<{ writes: { tableId: string }[] }>(this.app.sandbox.url, 'writes');
    return writes.filter(({ tableId }) => tableId === this.tableId).length;
  }

  /** How many records were written by them. */
  async writtenRecords(): Promise<number> {
    const { writes } = await control<{ writes: { tableId: string; recordIds: string[] }[] }>(
      this.app.sandbox.url,
      'writes',
    );
    return writes
      .filter(({ tableId }) => tableId === this.tableId)
      .reduce((sum, { recordIds }) => sum + recordIds.length, 0);
  }

  /** What both sides hold, side by side, as texts that are equal when they are in step. */
  async sides(): Promise<{ omnera: string[]; calendly: string[] }> {
    const columns = Object.keys(this.fields).filter((column) => column !== 'created');
    const rows = await this.query('SELECT to_jsonb(t) AS row FROM $table AS t');
    const records = await this.records();
    const line = (values: Record<string, UntypedData>): string =>
      columns.map((column) => JSON.stringify(plain(values[column]))).join(' ');
    return {
      omnera: rows.map(({ row }) => `${row._calendly_id} ${line(row)}`).sort(),
      calendly: [...records].map(([id, cells]) => `${id} ${line(cells)}`).sort(),
    };
  }

  async conflicts(): Promise<UntypedData[]> {
    const { data, errors } = await this.app.graphql(
      `query ($id: String!) { sync(id: $id) { conflicts: conflictLog(first: 1000) { nodes {
         kind recordId fieldName calendlyValue omneraValue winner at } } } }`,
      { id: this.syncId },
    );
    if (errors) throw new Error(JSON.stringify(errors));
    return data.sync.conflicts.nodes;
  }
}

async function lastChange(app: TestApp, tableId: string): Promise<{ sequence: number; transaction: number }> {
  const { changes } = await control<{
    changes: { tableId: string; sequence: number; transaction: number }[];
  }>(app.sandbox.url, 'changes');
  return changes.findLast((change) => change.tableId === tableId) ?? { sequence: 0, transaction: 0 };
}

/** Empty is empty, however a side says it. */
function plain(value: UntypedData): UntypedData {
  return value === undefined ||
    value === '' ||
    value === false ||
    (Array.isArray(value) && value.length === 0)
    ? null
    : value;
}
