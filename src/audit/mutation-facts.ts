import { getNullableType, isEnumType, isInputObjectType, type GraphQLInputType } from 'graphql';
import { isObject } from '../calendly/cell-values.ts';
import { isUpstreamId } from '../calendly/ids.ts';
import type { AuditBeginning, AuditDetails, AuditEnding } from './audit-event.ts';
import { isUuid } from '../uuid.ts';

/*
 * What the audit log may know of a mutation. Everything is on a list: the names of inputs are the schema's; of their
 * values only choices (enums, booleans), lengths of lists, and ids that look exactly like ids are kept. What somebody
 * typed, such as names, secrets, formulas and cells, never is.
 */

type Facts = Pick<AuditBeginning, 'connectionId' | 'target' | 'details'>;

/** Inputs called `id` hold ids of this, by mutation. */
const kindsOfId: Record<string, string> = {
  revokeApiKey: 'key',
  refreshWebhook: 'webhook',
  deleteWebhook: 'webhook',
  updateTrigger: 'trigger',
  deleteTrigger: 'trigger',
  pauseTrigger: 'trigger',
  resumeTrigger: 'trigger',
  rotateTriggerSecret: 'trigger',
  testTrigger: 'trigger',
  replayDeliveries: 'trigger',
  updateSync: 'sync',
  deleteSync: 'sync',
  pauseSync: 'sync',
  resumeSync: 'sync',
  reconcileSync: 'sync',
};

/** @param input The argument `input` as GraphQL read it; it may still be refused. */
export function factsOfInput(mutation: string, type: GraphQLInputType | undefined, input: unknown): Facts {
  if (!isObject(input)) return {};
  const { connection, id, action } = input;
  // What an automation stores is JSON: an action's name, and where it works.
  const stored = isObject(action) ? action : {};
  const config = isObject(stored.config) ? stored.config : {};
  return {
    connectionId: connectionIdOf(connection) ?? connectionIdOf(stored.connection),
    target: placeOf(input) ?? placeOf(config) ?? ownId(kindsOfId[mutation], id),
    details: {
      input: Object.keys(input).join(', '),
      ...choicesAndLengths(type, input),
      ...(isActionName(stored.action) ? { action: stored.action } : {}),
    },
  };
}

/** What only the result tells: ids of what was created, what became of each record. */
export function factsOfResult(result: unknown): Omit<AuditEnding, 'outcome'> {
  const { results, connection, webhook, trigger, sync, apiKey, problem } = isObject(result) ? result : {};
  const found: Facts & { details: AuditDetails } = { details: countsByStatus(results ?? result) };
  if (isObject(connection)) found.connectionId = connectionIdOf(connection.id);
  if (isObject(webhook)) {
    found.connectionId = connectionIdOf(webhook.connectionId);
    if (typeof webhook.id === 'string' && isUuid(webhook.id)) found.details.webhook = webhook.id;
    if (isUpstreamId('app', webhook.baseId)) found.details.base = webhook.baseId;
  }
  if (isObject(trigger)) {
    found.connectionId = connectionIdOf(trigger.connectionId);
    if (typeof trigger.id === 'string' && isUuid(trigger.id)) found.details.trigger = trigger.id;
    if (isUpstreamId('app', trigger.baseId)) found.details.base = trigger.baseId;
  }
  if (isObject(sync)) {
    found.connectionId = connectionIdOf(sync.connectionId);
    if (typeof sync.id === 'string' && isUuid(sync.id)) found.details.sync = sync.id;
    if (isUpstreamId('app', sync.baseId)) found.details.base = sync.baseId;
  }
  if (isObject(apiKey)) found.target = ownId('key', apiKey.id);
  if (isObject(problem) && isCode(problem.code)) found.details.problem = problem.code;
  return found;
}

function connectionIdOf(value: unknown): number | null {
  return typeof value === 'number' && Number.isInteger(value) && Math.abs(value) < 2 ** 31 ? value : null;
}

/** A base, or a table in it. A table that was named is left out: its name is something that somebody typed. */
function placeOf({ baseId, tableId }: Record<string, unknown>): string | null {
  if (!isUpstreamId('app', baseId)) return null;
  return isUpstreamId('tbl', tableId) ? `${baseId}/${tableId}` : baseId;
}

function ownId(kind: string | undefined, id: unknown): string | null {
  const isOurs = Number.isSafeInteger(id) || (typeof id === 'string' && isUuid(id));
  return isOurs ? `${kind === undefined ? '' : `${kind}:`}${String(id)}` : null;
}

function choicesAndLengths(
  given: GraphQLInputType | undefined,
  input: Record<string, unknown>,
): AuditDetails {
  const type = getNullableType(given);
  const fields = isInputObjectType(type) ? type.getFields() : {};
  const details: AuditDetails = {};
  for (const [name, value] of Object.entries(input)) {
    const declared = fields[name] && getNullableType(fields[name].type);
    if (Array.isArray(value)) details[name] = value.length;
    else if (typeof value === 'boolean') details[name] = value;
    else if (isEnumType(declared) && value != null) details[name] = String(declared.serialize(value));
  }
  return details;
}

function countsByStatus(results: unknown): AuditDetails {
  const counts: Record<string, number> = {};
  for (const one of Array.isArray(results) ? (results as unknown[]) : []) {
    if (isObject(one) && isCode(one.status)) counts[one.status] = (counts[one.status] ?? 0) + 1;
  }
  return counts;
}

function isCode(value: unknown): value is string {
  return typeof value === 'string' && /^[A-Z_]{1,40}$/.test(value);
}

function isActionName(value: unknown): value is string {
  return typeof value === 'string' && /^calendly\.[A-Za-z]{1,40}$/.test(value);
}
