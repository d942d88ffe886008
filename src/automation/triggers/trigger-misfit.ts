import { obsoleteBy, type ChangeFilter } from '../../changes/change-filter.ts';
import type { SchemaEntry } from '../../changes/log-entry.ts';
import { referredFields } from './action-template.ts';
import type { PauseReason, Trigger } from './trigger.ts';

/** Why a trigger can make nothing of what comes behind a change of the schema. */
export interface Misfit {
  because: PauseReason;
  problem: string;
}

/**
 * What a change of the schema leaves of a trigger. One whose table is gone, or what its filter, its `fields` or its action
 * look at, would be silent for ever or act on cells that nobody emptied: it is paused, and stays in front of that change,
 * which is judged again by whatever it is given in their place. Of several `fields` those that are left go on.
 */
export function afterSchemaChange(
  entry: SchemaEntry,
  trigger: Pick<Trigger, 'tableId' | 'fieldIds' | 'action'>,
  filter: ChangeFilter,
): { misfit: Misfit | null; fieldIds: string[] | null } {
  const { tableId, fieldIds, action } = trigger;
  const here = entry.changes.filter((change) => change.tableId === tableId);
  const paused = (because: PauseReason, problem: string) => ({ misfit: { because, problem }, fieldIds });
  if (here.some(({ kind }) => kind === 'tableDeleted'))
    return paused(
      'TABLE_DELETED',
      'Its table was deleted. Delete the trigger, and make one of another table.',
    );
  const obsolete = obsoleteBy(entry, filter);
  if (obsolete)
    return paused('FILTER_OUTDATED', `${obsolete.what}. Use "updateTrigger" with a "filter" that fits.`);
  const deleted = new Set(
    here.flatMap(({ kind, fieldId }) => (kind === 'fieldDeleted' ? (fieldId ?? []) : [])),
  );
  const referred = action ? referredFields(action).find((id) => deleted.has(id)) : undefined;
  if (referred !== undefined) {
    return paused(
      'FIELD_DELETED',
      `The field ${referred}, of which "action" takes values, was deleted. Use "updateTrigger" with another "action".`,
    );
  }
  const left = fieldIds && fieldIds.filter((id) => !deleted.has(id));
  if (left?.length === 0) {
    const which = 'Nothing is left of its "fields": they were deleted.';
    return paused('FIELD_DELETED', `${which} Use "updateTrigger" with other "fields", or null for all.`);
  }
  return { misfit: null, fieldIds: left };
}
