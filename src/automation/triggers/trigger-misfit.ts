import { obsoleteBy, type ChangeFilter } from '../../changes/change-filter.ts';
import type { SchemaEntry } from '../../changes/log-entry.ts';
import type { BaseSchema } from '../../bases/base-schema.ts';
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
  if (here.some(({ kind }) => kind === 'tableDeleted')) return { misfit: tableDeleted, fieldIds };
  const obsolete = obsoleteBy(entry, filter);
  if (obsolete) return { misfit: filterOutdated(obsolete.what), fieldIds };
  const deleted = new Set(
    here.flatMap(({ kind, fieldId }) => (kind === 'fieldDeleted' ? (fieldId ?? []) : [])),
  );
  const referred = action ? referredFields(action).find((id) => deleted.has(id)) : undefined;
  if (referred !== undefined) return { misfit: referenceDeleted(referred), fieldIds };
  const left = fieldIds && fieldIds.filter((id) => !deleted.has(id));
  if (left?.length === 0) return { misfit: fieldsDeleted, fieldIds };
  return { misfit: null, fieldIds: left };
}

/**
 * The same of the table as it is, for a change of the schema that the log does not tell any more, or never did: it lay in
 * what was pruned or lost.
 */
export function misfitIn(
  schema: BaseSchema,
  { tableId, fieldIds, action }: Pick<Trigger, 'tableId' | 'fieldIds' | 'action'>,
  { cells }: ChangeFilter,
): Misfit | null {
  const table = schema.findTable(tableId);
  if (!table) return tableDeleted;
  for (const [id, { name, type }] of cells?.fields ?? []) {
    const what = `The field ${JSON.stringify(name)}, which "filter" looks at,`;
    const field = table.findField(id);
    if (!field) return filterOutdated(`${what} was deleted`);
    if (field.type !== type) return filterOutdated(`${what} was changed`);
  }
  const referred = action ? referredFields(action).find((id) => !table.findField(id)) : undefined;
  if (referred !== undefined) return referenceDeleted(referred);
  return fieldIds && !fieldIds.some((id) => table.findField(id)) ? fieldsDeleted : null;
}

const tableDeleted: Misfit = {
  because: 'TABLE_DELETED',
  problem: 'Its table was deleted. Delete the trigger, and make one of another table.',
};

const fieldsDeleted: Misfit = {
  because: 'FIELD_DELETED',
  problem:
    'Nothing is left of its "fields": they were deleted. Use "updateTrigger" with other "fields", or null for all.',
};

function filterOutdated(what: string): Misfit {
  return { because: 'FILTER_OUTDATED', problem: `${what}. Use "updateTrigger" with a "filter" that fits.` };
}

function referenceDeleted(fieldId: string): Misfit {
  return {
    because: 'FIELD_DELETED',
    problem: `The field ${fieldId}, of which "action" takes values, was deleted. Use "updateTrigger" with another "action".`,
  };
}
