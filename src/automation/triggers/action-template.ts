import { isObject } from '../../calendly/cell-values.ts';
import { ActionRefused, type ActionFault } from '../action-errors.ts';
import { readStoredAction, type StoredAction } from '../stored-action.ts';

/*
 * The action of a trigger: what automations store, in which a value may stand for a part of the change. There are two
 * references and no expressions:
 *
 *   { "$field": "Email" }   the cell of the changed record after the change, by id or exact name; null when it is empty
 *   { "$record": "id" }     the id of the changed record
 *
 * It is kept with ids in place of all names, so that renaming a field or a table does not part it from what was meant.
 */

export interface ActionTemplate {
  action: string;
  connection: number;
  config: { baseId: string; tableId: string } & Record<string, unknown>;
}

/** What a template is filled with. */
export interface ChangedRecord {
  recordId: string;
  /** By field id; null when the record is gone. */
  cells: Readonly<Record<string, unknown>> | null;
}

/** What triggers may do: only what writes does anything when nobody reads its result. */
export const writingActions = ['calendly.createRecord', 'calendly.updateRecord', 'calendly.deleteRecord'];

/** Passes for the id of a record wherever one has to stand. */
const sample = 'recSAMPLE00000000';

/**
 * Judges the form of a template by what it would be with sample values.
 * @throws ActionRefused with all faults
 */
export function checkTemplate(given: unknown): StoredAction & { given: ActionTemplate } {
  if (isObject(given) && typeof given.action === 'string' && !writingActions.includes(given.action)) {
    const message = `A trigger's action is one of ${writingActions.join(', ')}`;
    throw new ActionRefused([{ path: ['action'], message }]);
  }
  const faults: ActionFault[] = [];
  const filled = mapReferences(given, [], (reference, path) => {
    const fault = faultOf(reference);
    if (fault !== null) faults.push({ path, message: fault });
    return sample;
  });
  if (faults.length > 0) throw new ActionRefused(faults);
  return { ...readStoredAction(filled), given: given as ActionTemplate };
}

/** The names of fields that a template refers to. */
export function referredFields(template: ActionTemplate): string[] {
  const names: string[] = [];
  mapReferences(template, [], ({ $field }) => {
    if (typeof $field === 'string') names.push($field);
    return null;
  });
  return names;
}

/** The template with field ids in place of names. */
export function withFieldIds(template: ActionTemplate, idOf: (name: string) => string): ActionTemplate {
  return mapReferences(template, [], (reference) =>
    typeof reference.$field === 'string' ? { $field: idOf(reference.$field) } : reference,
  ) as ActionTemplate;
}

/** What a change makes of a template. The form of it is judged again, since a cell may hold anything. */
export function fillTemplate(template: ActionTemplate, { recordId, cells }: ChangedRecord): ActionTemplate {
  return mapReferences(template, [], ({ $field }) =>
    typeof $field === 'string' ? (cells?.[$field] ?? null) : recordId,
  ) as ActionTemplate;
}

type Reference = Record<string, unknown>;

function mapReferences(
  value: unknown,
  path: string[],
  replace: (reference: Reference, path: string[]) => unknown,
): unknown {
  if (Array.isArray(value))
    return value.map((item, index) => mapReferences(item, [...path, String(index)], replace));
  if (!isObject(value)) return value;
  if (Object.keys(value).some((key) => key.startsWith('$'))) return replace(value, path);
  return Object.fromEntries(
    Object.entries(value).map(([key, part]) => [key, mapReferences(part, [...path, key], replace)]),
  );
}

function faultOf(reference: Reference): string | null {
  const [key, ...others] = Object.keys(reference);
  if (others.length === 0 && key === '$field' && typeof reference.$field === 'string') return null;
  if (others.length === 0 && key === '$record' && reference.$record === 'id') return null;
  return 'A reference is { "$field": "a field by id or exact name" } or { "$record": "id" }, with nothing beside it';
}
