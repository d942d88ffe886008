import type { EntityManager } from 'typeorm';
import type { TriggerEvent } from './event.ts';

/** In the caller's transaction, oldest first. An event that is there already is the same one. */
export async function insertDeliveries(
  sql: EntityManager,
  triggerId: string,
  events: readonly TriggerEvent[],
  now: Date,
): Promise<void> {
  await sql.query(insertion, deliveriesToInsert(triggerId, events, now));
}

/** Its parameters are what `deliveriesToInsert` gives. */
export const insertion = `
  INSERT INTO trigger_deliveries (trigger_id, event_id, record_id, type, body, chain, status, error_code, error_message,
         next_attempt_at, created_at, finished_at)
  SELECT $1, event.id, event.record_id, event.type, event.body, string_to_array(event.chain, ',')::uuid[], event.status, event.code,
         event.message, $2, $2, CASE WHEN event.status = 'STOPPED' THEN $2::timestamptz END
  FROM unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[])
    WITH ORDINALITY AS event(id, record_id, type, body, chain, status, code, message, place)
  ORDER BY event.place ON CONFLICT (trigger_id, event_id) DO NOTHING`;

/** What `insertion` takes. */
export function deliveriesToInsert(triggerId: string, events: readonly TriggerEvent[], now: Date): unknown[] {
  return [
    triggerId,
    now,
    events.map(({ id }) => id),
    events.map(({ recordId }) => recordId),
    events.map(({ type }) => type),
    events.map(({ body }) => body),
    events.map(({ chain }) => chain.join()),
    events.map(({ stopped }) => (stopped ? 'STOPPED' : 'WAITING')),
    events.map(({ stopped }) => stopped?.code ?? null),
    events.map(({ stopped }) => stopped?.message ?? null),
  ];
}
