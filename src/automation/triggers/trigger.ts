import type { ChangeFilter } from '../../changes/change-filter.ts';
import type { ChangeKind } from '../../changes/log-entry.ts';
import type { Position } from '../../changes/position.ts';
import type { ActionTemplate } from './action-template.ts';
import { AppError } from '../../errors.ts';
import { readCellFilter, type StoredCellFilter } from './stored-cell-filter.ts';

/** Why a trigger stands still. */
export const pauseReasons = {
  BY_HAND: 'Somebody paused it; `resumeTrigger` sets it going.',
  CONNECTION_AWAY:
    'Its connection is not connected. It goes on by itself once the connection is connected again.',
  BASE_OUT_OF_REACH:
    'Its connection may not follow the base any more. It goes on by itself once the base is granted again.',
  FILTER_OUTDATED:
    'A field that its filter looks at was deleted or made into another. `updateTrigger` gives it a filter that fits.',
  FIELD_DELETED:
    'A field of which its action takes values, or the last of its `fields`, was deleted. `updateTrigger` gives it others.',
  TABLE_DELETED: 'Its table was deleted. Delete the trigger.',
  ENDPOINT_FAILING:
    'Its endpoint took nothing for a day. Mend it, then use `resumeTrigger`: what waits is delivered then.',
  ENDPOINT_GONE: 'Its endpoint answered 410. Mend it, then use `resumeTrigger`.',
} as const;
export type PauseReason = keyof typeof pauseReasons;

/** What does not fit the table any more, which ends with settings that do. */
export const misfits: readonly PauseReason[] = ['FILTER_OUTDATED', 'FIELD_DELETED', 'TABLE_DELETED'];
/** What ends by itself. */
export const awaited: readonly PauseReason[] = ['CONNECTION_AWAY', 'BASE_OUT_OF_REACH'];

/** Told of a trigger that was paused or set going by itself. @param outcome why, or `ok` */
export type OnTriggerMoved = (
  triggerId: string,
  connectionId: number,
  action: 'pauseTrigger' | 'resumeTrigger',
  outcome: string,
) => void;

/** Reacts to changes of one table. Its secrets are no part of it. */
export interface Trigger {
  /** A UUID. */
  id: string;
  name: string;
  connectionId: number;
  baseId: string;
  tableId: string;
  /** Null for all. */
  kinds: ChangeKind[] | null;
  fieldIds: string[] | null;
  /** As it was given. */
  filter: object | null;
  cellFilter: StoredCellFilter | null;
  /** Null for one with an action. */
  endpointUrl: string | null;
  action: ActionTemplate | null;
  createdBy: string;
  state: 'active' | 'paused';
  pausedBecause: PauseReason | null;
  problem: string | null;
  feedId: number;
  /** All entries of the feed's log up to here have been looked at. */
  position: Position;
  createdAt: Date;
  updatedAt: Date;
}

export type TriggerRow = Omit<Trigger, 'position'> & Position;

export const triggerColumns = `t.id, t.name, t.connection_id AS "connectionId", t.base_id AS "baseId", t.table_id AS "tableId", t.kinds,
  t.field_ids AS "fieldIds", t.filter, t.cell_filter AS "cellFilter", t.endpoint_url AS "endpointUrl", t.action, t.created_by AS "createdBy",
  t.state, t.paused_because AS "pausedBecause", t.problem, t.feed_id AS "feedId", t.generation, t.payload, t.ordinal,
  t.created_at AS "createdAt", t.updated_at AS "updatedAt"`;

export function triggerFromRow({ generation, payload, ordinal, ...row }: TriggerRow): Trigger {
  return { ...row, position: { generation, payload, ordinal } };
}

/** What a trigger listens to. */
export function changeFilterOf({ tableId, kinds, fieldIds, cellFilter }: Trigger): ChangeFilter {
  return {
    tableId,
    kinds: kinds && new Set(kinds),
    fieldIds: fieldIds && new Set(fieldIds),
    cells: cellFilter && readCellFilter(cellFilter),
  };
}

export function triggerNotFound(id: string): AppError {
  return new AppError(
    'TRIGGER_NOT_FOUND',
    `There is no trigger ${id.slice(0, 60)}, or your key may not see it. The query "triggers" lists the ones you can use.`,
  );
}
