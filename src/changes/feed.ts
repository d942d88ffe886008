import type { Sql } from '../database/sql.ts';
import { feedKey, type Position } from './position.ts';

/** The log of one base as one OAuth client sees it. Every connection of that client that may read the base shares it. */
export interface Feed {
  id: number;
  clientId: string;
  baseId: string;
  /** What its cursors carry. */
  key: string;
  /** The webhook that appends now, or 0 before the first one. */
  generation: number;
  /** Everything up to here is not in the log. */
  pruned: Position;
  prunedUntil: Date | null;
  /** When somebody last used it, to some minutes. */
  usedAt: Date;
}

export interface FeedRow {
  id: number;
  client_id: string;
  base_id: string;
  generation: number;
  pruned_generation: number;
  pruned_payload: number;
  pruned_ordinal: number;
  pruned_until: Date | null;
  used_at: Date;
}

export function feedFromRow(row: FeedRow): Feed {
  return {
    id: row.id,
    clientId: row.client_id,
    baseId: row.base_id,
    key: feedKey(row.client_id, row.base_id),
    generation: row.generation,
    pruned: prunedPosition(row),
    prunedUntil: row.pruned_until,
    usedAt: row.used_at,
  };
}

export function prunedPosition(
  row: Pick<FeedRow, 'pruned_generation' | 'pruned_payload' | 'pruned_ordinal'>,
): Position {
  return { generation: row.pruned_generation, payload: row.pruned_payload, ordinal: row.pruned_ordinal };
}

export async function findFeed(sql: Sql, clientId: string, baseId: string): Promise<Feed | null> {
  const [row] = await sql.query<FeedRow[]>(
    'SELECT * FROM change_feeds WHERE client_id = $1 AND base_id = $2',
    [clientId, baseId],
  );
  return row ? feedFromRow(row) : null;
}
