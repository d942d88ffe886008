import { BaseSchema } from '../../../src/bases/base-schema.ts';
import { fieldShapes } from '../../../src/records/copies/field-shapes.ts';
import type { TestApp } from '../../support/app.ts';
import { crm, type TableName } from '../crm.ts';
import { randomUUID } from 'node:crypto';
import { CallMeter } from '../../../src/calendly/operation.ts';

export async function copyTable(
  { app, database }: TestApp,
  connection: number,
  name: TableName,
): Promise<void> {
  const operation = {
    callerId: 't',
    priority: 'person' as const,
    deadline: Date.now() + 1e4,
    meter: new CallMeter(),
  };
  const api = await app.upstream.api(connection, operation, []);
  const table = new BaseSchema(crm, await api.baseSchema(crm), 0).getTable(name);
  const [feed] = await database.query(
    `INSERT INTO change_feeds (client_id, base_id) VALUES ('x', $1) ON CONFLICT (client_id, base_id) DO UPDATE SET base_id = excluded.base_id RETURNING id`,
    [crm],
  );
  const id = randomUUID();
  await database.query(
    `INSERT INTO syncs (id, connection_id, base_id, table_id, direction, conflicts, target_schema, target_table, owned, key_columns, columns, state, feed_id, generation, payload, ordinal, as_of, field_shapes, created_by, created_at, updated_at)
     VALUES ($1, $2, $3, $4, 'pull', 'calendly_wins', 'calendly', $5, true, '{_id}', '[]', 'live', $6, 0, 0, 0, clock_timestamp(), $7, 'x', now(), now())`,
    [id, connection, crm, table.id, name, feed!.id, JSON.stringify(fieldShapes(table))],
  );
  let offset: string | null = null;
  do {
    const page: { records: { id: string; createdTime: string; fields: object }[]; offset: string | null } =
      await api.listRecords(crm, table.id, { pageSize: 100, ...(offset === null ? {} : { offset }) });
    await database.query(
      `INSERT INTO copied_records (sync_id, record_id, created_time, cells)
       SELECT $1, row->>'id', (row->>'createdTime')::timestamptz, row->'fields' FROM jsonb_array_elements($2::jsonb) AS listed(row)`,
      [id, JSON.stringify(page.records)],
    );
    offset = page.offset;
  } while (offset !== null);
}
