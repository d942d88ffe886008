import { isObject } from '../calendly/cell-values.ts';
import { connectionId, connectionName } from '../connections/connection-input.ts';
import { nearestName, suggestion } from '../nearest-name.ts';
import type { Action, ReadyAction } from './action.ts';
import { ActionRefused, type ActionFault } from './action-errors.ts';
import { listBases, listTables } from './base-actions.ts';
import { listWebhookPayloads } from './change-actions.ts';
import { getRecord, queryRecords } from './record-actions.ts';
import { createRecord, deleteRecord, updateRecord } from './write-actions.ts';

/** Longest action, in bytes of JSON. */
export const maxActionBytes = 262_144;

const actions = new Map<string, Action>(
  Object.entries({
    listBases,
    listTables,
    queryRecords,
    getRecord,
    createRecord,
    updateRecord,
    deleteRecord,
    listWebhookPayloads,
  }).map(([name, action]) => [`calendly.${name}`, action]),
);

export const actionNames: readonly string[] = [...actions.keys()];

/** An action as automations store it, once its form is known to be right. */
export interface StoredAction {
  name: string;
  /** A number is an id, a text a name. */
  connection: number | string;
  run: ReadyAction;
  given: object;
}

const parts = ['action', 'connection', 'config'];

/**
 * Reads what an automation has stored. The form alone is judged: whether connection, table and fields are there comes later.
 * @throws ActionRefused with all faults
 */
export function readStoredAction(given: unknown): StoredAction {
  if (!isObject(given)) {
    throw new ActionRefused([
      { path: [], message: 'An action is an object with "action", "connection" and "config"' },
    ]);
  }
  const size = Buffer.byteLength(JSON.stringify(given));
  if (size > maxActionBytes) {
    throw new ActionRefused([
      { path: [], message: `An action may have at most ${maxActionBytes} bytes of JSON, not ${size}` },
    ]);
  }
  const faults = unknownParts(given);
  const action = findAction(given.action, faults);
  const connection = readConnection(given.connection, faults);
  const read = action?.read(given.config);
  if (read && 'faults' in read) faults.push(...read.faults);
  if (faults.length > 0 || connection === null || !read || !('ready' in read))
    throw new ActionRefused(faults);
  return { name: String(given.action), connection, run: read.ready, given };
}

function unknownParts(given: object): ActionFault[] {
  return Object.keys(given)
    .filter((key) => !parts.includes(key))
    .map((key) => ({
      path: [key.slice(0, 100)],
      message: `"${key.slice(0, 100)}" is not known.${suggestion(key, parts)}`,
    }));
}

function findAction(name: unknown, faults: ActionFault[]): Action | null {
  const action = typeof name === 'string' ? actions.get(name) : undefined;
  if (action) return action;
  const fault = (message: string) => faults.push({ path: ['action'], message });
  if (name === undefined) fault(`"action" is missing; it is one of ${actionNames.join(', ')}`);
  else if (typeof name !== 'string')
    fault(`"action" must be the name of an action, such as "calendly.createRecord"`);
  else {
    const near = nearestName(name, actionNames) ?? nearestName(`calendly.${name}`, actionNames);
    const hint =
      near === null ? `Known are ${actionNames.join(', ')}` : `Did you mean ${JSON.stringify(near)}?`;
    fault(`There is no action ${JSON.stringify(name.slice(0, 100))}. ${hint}`);
  }
  return null;
}

function readConnection(given: unknown, faults: ActionFault[]): number | string | null {
  const fault = (message: string) => {
    faults.push({ path: ['connection'], message });
    return null;
  };
  if (given === undefined)
    return fault('"connection" is missing: the id (a number) or the name of a connection');
  if (typeof given !== 'number' && typeof given !== 'string')
    return fault('"connection" must be the id (a number) or the name (a text) of a connection');
  const read = typeof given === 'number' ? connectionId.safeParse(given) : connectionName.safeParse(given);
  return read.success ? read.data : fault(read.error.issues[0]?.message ?? '"connection" is not acceptable');
}
