import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import {
  buildClientSchema,
  getIntrospectionQuery,
  getNamedType,
  isObjectType,
  type GraphQLSchema,
} from 'graphql';
import { control, startTestApp, type GraphQLAnswer, type TestApp } from '../support/app.ts';
import { TEST_CLIENT } from '../support/sandbox-grant.ts';
import { addContacts, crm } from '../changes/upstream-edits.ts';
import { createTrigger } from '../automation/triggers/operations.ts';
import { createSync } from '../sync/sync-app.ts';
import { createWebhook, otherBase } from '../webhooks/operations.ts';
import {
  alertCount,
  argumentsOf,
  following,
  guardedKeyName,
  guards,
  notShownHere,
  type Guard,
  type Target,
} from './access-table.ts';
import { addAnswered, allFields, errorTypes, selectionBelow } from './schema-walk.ts';

/*
 * Every field of the schema, asked for by every role with every reach. Where access is decided stands in access-table.ts;
 * the operations are made from the schema: each asks for all that lies below a guarded field. Who may see it gets all of
 * it; who lacks the role is told FORBIDDEN; who does not reach it gets, to the letter, what stands for a thing that does
 * not exist.
 */

const roles = ['viewer', 'editor', 'admin'] as const;
const reaches = ['all', 'this connection', 'another connection', 'this base', 'another base'] as const;
const callers = roles.flatMap((role) =>
  reaches.map((reach) => ({ role, reach, name: `${role} of ${reach}` })),
);
type Caller = (typeof callers)[number];

/** Ids of nothing. */
const noId = '00000000-0000-4000-8000-000000000000';
const nothing = { webhookId: noId, triggerId: noId, syncId: noId, keyId: 2_147_483_646 };
const noConnection = 2_147_483_647;
const noBase = 'appNOWHERE';

/** Numbers from here on, so that an id in an answer is not taken for a count. */
const firstId = 471_100;

let app: TestApp;
let schema: GraphQLSchema;
let own: Target;
/** The place in the log of the base before what the setup changes in it. */
let cursor: string;
const keys = new Map<string, string>();
/** Connections that are made to be ended, one by one. */
const throwaways: number[] = [];
/** `Type.field` of all that was answered, by anybody. */
const answered = new Set<string>();
/** What Node warned of meanwhile. */
const warnings: string[] = [];
const onWarning = ({ message }: Error) => void warnings.push(message);

beforeAll(async () => {
  process.on('warning', onWarning);
  app = await startTestApp();
  for (const table of ['connections', 'api_keys'])
    await app.database.query(`SELECT setval(pg_get_serial_sequence($1, 'id'), $2)`, [table, firstId]);
  schema = buildClientSchema((await app.graphql(getIntrospectionQuery())).data);

  const connection = await app.connect({ name: 'Guarded' });
  const elsewhere = await otherBase(app, connection);
  const another = await app.connect({ name: 'Another', bases: [elsewhere] });
  for (let count = 0; count < 20; count += 1) throwaways.push(await throwaway(`Throwaway ${count}`));
  await app.database.query(
    `UPDATE connections SET state = 'error', problem_code = 'INVALID_GRANT' WHERE id = $1`,
    [await throwaway('Broken')],
  );
  await app.database.query(
    `INSERT INTO connection_alerts (connection_id, kind, hour, since, until, raised_at, count, threshold)
     VALUES ($1, 'REFUSED_BURST', date_trunc('hour', now()), now(), now(), now(), $2, 20)`,
    [connection, alertCount],
  );

  const webhookId = await createWebhook(app, connection);
  const position = await events('recordChanges', `connection: ${connection}, baseId: "${crm.baseId}"`, 1);
  cursor = (position[0]?.data as { recordChanges: { cursor: string } }).recordChanges.cursor;
  const [recordId] = (await addContacts(app, 1)) as [string];
  await control(app.sandbox.url, 'schema', {
    baseId: crm.baseId,
    addField: { tableId: crm.tableId, name: 'Added', type: 'singleLineText' },
  });
  own = { connection, baseId: crm.baseId, recordId, webhookId, triggerId: '', syncId: '', keyId: 0 };
  own.triggerId = await guardedTrigger();
  own.syncId = await guardedSync();

  const mine = [connection, ...throwaways];
  const reach = {
    all: [null, null],
    'this connection': [mine, null],
    'another connection': [[another], null],
    'this base': [mine, [crm.baseId]],
    'another base': [mine, [elsewhere]],
  } as const;
  for (const caller of callers) {
    const [connectionIds, baseIds] = reach[caller.reach];
    const name = caller.name;
    const wanted = { name, role: caller.role, connectionIds, baseIds, expiresAt: null };
    keys.set(name, (await app.app.keys.issue(wanted as Parameters<typeof app.app.keys.issue>[0])).key);
  }
  await guardedKey(guardedKeyName);
}, 60_000);
afterAll(async () => {
  process.off('warning', onWarning);
  await app.close();
});

/** A connection without tokens that says it is connected. */
async function throwaway(name: string): Promise<number> {
  const id = await app.graphql(
    `mutation ($input: CreateConnectionInput!) { createConnection(input: $input) { ... on CreateConnectionSuccess { connection { id } } } }`,
    { input: { type: 'calendly', name, ...TEST_CLIENT } },
  );
  const created: number = id.data.createConnection.connection.id;
  await app.database.query(`UPDATE connections SET state = 'connected' WHERE id = $1`, [created]);
  return created;
}

async function guardedKey(name: string): Promise<number> {
  const { apiKey } = await app.app.keys.issue({
    name,
    role: 'viewer',
    connectionIds: [own.connection],
    baseIds: [own.baseId],
    expiresAt: null,
  });
  return apiKey.id;
}

/** A trigger with a delivery that waits for another attempt. */
async function guardedTrigger(): Promise<string> {
  const endpoint = 'http://127.0.0.1:1/';
  const { id } = await createTrigger(app, { connection: own.connection, endpoint, kinds: ['DELETED'] });
  await app.database.query(
    `INSERT INTO trigger_deliveries (trigger_id, event_id, record_id, type, body, status, next_attempt_at, created_at, error_code)
     VALUES ($1, 'evt_1', 'rec1', 'record.deleted', '{}', 'WAITING', now() + interval '1 day', now(), 'ENDPOINT_REFUSED')`,
    [id],
  );
  return id;
}

/** A sync with a record that its table has refused. */
async function guardedSync(): Promise<string> {
  const { id } = await createSync(app, own.connection);
  await park(id);
  await app.database.query(
    `INSERT INTO sync_conflicts (sync_id, kind, record_id, winner, at) VALUES ($1, 'deleted_by_omnera', 'rec1', 'omnera', now())`,
    [id],
  );
  await app.database.query(
    `INSERT INTO sync_pending (sync_id, record_id, code, message, parked_at) VALUES ($1, 'rec1', 'INVALID_INPUT', 'It is none.', now())`,
    [id],
  );
  return id;
}

/** Such a record is tried again every now and then, and found to be none. */
async function park(syncId: string): Promise<void> {
  await app.database.query(
    `INSERT INTO sync_parked (sync_id, record_id, code, message, parked_at) VALUES ($1, 'rec1', '23505', 'It is taken.', now())
     ON CONFLICT DO NOTHING`,
    [syncId],
  );
}

interface Answer {
  data: Record<string, unknown> | null;
  errors?: GraphQLAnswer['errors'];
}

/** The first events of a subscription, or all if it ends before. */
async function events(field: string, args: string, count: number, key?: string): Promise<Answer[]> {
  const stop = new AbortController();
  const response = await fetch(`${app.url}/graphql`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'text/event-stream',
      authorization: `Bearer ${key ?? app.adminKey}`,
    },
    body: JSON.stringify({ query: `subscription { ${field}(${args}) ${below('Subscription', field)} }` }),
    signal: stop.signal,
  });
  let text = '';
  const told = () => [...text.matchAll(/^data: (\{.*\})$/gm)].map(([, json]) => JSON.parse(json!) as Answer);
  for await (const chunk of response.body ?? []) {
    text += Buffer.from(chunk as Uint8Array).toString('utf8');
    if (told().length >= count) break;
  }
  stop.abort();
  return told();
}

function below(typeName: string, fieldName: string, without: string[] = []): string {
  const type = schema.getType(typeName);
  const field = isObjectType(type) ? type.getFields()[fieldName] : undefined;
  if (!field)
    throw new Error(`The schema has no ${typeName}.${fieldName} any more: remove it from the tables.`);
  const walk = {
    schema,
    argumentsOf: argumentsOf(own?.recordId ?? ''),
    leaveOut: (name: string) => name in guards || without.includes(name),
  };
  return selectionBelow(getNamedType(field.type), walk);
}

async function ask(name: string, guard: Guard, target: Target, key: string): Promise<Answer> {
  const [type, field] = name.split('.') as [string, string];
  const args = guard.args?.(target);
  if (type === 'Subscription') {
    const isFeed = field === 'recordChanges';
    // The position, a new record, a new field.
    const told = await events(field, isFeed ? `${args}, after: "${cursor}"` : args!, isFeed ? 3 : 1, key);
    for (const { data } of told) addAnswered({ __typename: type, ...data }, answered);
    return told.find(({ errors }) => errors) ?? told.at(-1)!;
  }
  const asked = `${field}${args === undefined ? '' : `(${args})`} ${below(type, field, guard.without)}`;
  const { data, errors } = await app.graphql(
    type === 'Query' || type === 'Mutation'
      ? `${type.toLowerCase()} { ${asked} }`
      : `{ connection(id: ${target.connection}) { __typename ... on ${type} { ${asked} } } }`,
    {},
    { key },
  );
  addAnswered(
    type === 'Query' || type === 'Mutation' ? { __typename: type, ...data } : data?.connection,
    answered,
  );
  return { data, ...(errors && { errors }) };
}

/** What a guard is asked about; something of its own if the question may end it. */
async function targetOf(name: string, guard: Guard, isLet: boolean): Promise<Target> {
  if (guard.ends === 'connection') return { ...own, connection: isLet ? throwaways.pop()! : throwaways[0]! };
  if (name === 'Mutation.revokeApiKey') return { ...own, keyId: await guardedKey('To be revoked') };
  // Whoever is kept out ends nothing.
  if (guard.ends === 'trigger' && isLet) return { ...own, triggerId: await guardedTrigger() };
  if (guard.ends === 'sync' && isLet) return { ...own, syncId: await guardedSync() };
  if (guard.ends === 'webhook' || name === 'Mutation.refreshWebhook')
    return { ...own, webhookId: await createWebhook(app, own.connection) };
  return own;
}

const reachesIt = ({ reach }: Caller, guard: Guard): boolean => {
  if (guard.reach === 'anything' || reach === 'all') return true;
  if (reach === 'another connection') return false;
  return guard.reach === 'connection' || reach !== 'another base';
};

/** An answer without what differs in any case, and with the ids that were asked for left open. */
function openly(
  { data, errors }: Answer,
  { connection, baseId, webhookId, triggerId, syncId, keyId }: Target,
): string {
  const ids = new RegExp(
    [connection, baseId, webhookId, triggerId, syncId, keyId].map((id) => `\\b${id}\\b`).join('|'),
    'g',
  );
  return JSON.stringify({ data, errors })
    .replace(/"requestId":"[^"]*"|"locations":\[[^\]]*\]/g, '')
    .replace(ids, 'ASKED');
}

/** What is wrong with the answer that a caller gets; null when it is as the table says. */
async function fault(name: string, guard: Guard, caller: Caller): Promise<string | null> {
  const key = keys.get(caller.name)!;
  const mayAsk = roles.indexOf(caller.role) >= roles.indexOf(guard.role);
  const isLet = mayAsk && reachesIt(caller, guard);
  const target = await targetOf(name, guard, isLet);
  if (/sync/i.test(name)) await park(own.syncId);
  const answer = await ask(name, guard, target, key);
  if (isLet && guard.ends === 'webhook') await createWebhook(app, own.connection);
  const text = JSON.stringify(answer);
  const codes = answer.errors?.map(({ extensions }) => extensions.code) ?? [];

  if (!mayAsk) {
    const isForbidden =
      codes.join() === 'FORBIDDEN' && Object.values(answer.data ?? {}).every((one) => one === null);
    return isForbidden ? null : `is not refused for the role: ${text}`;
  }
  if (guard.shows) {
    if (codes.length > 0) return `fails: ${text}`;
    const isShown = text.includes(guard.shows(target));
    return isShown === isLet
      ? null
      : `${isShown ? 'shows what is out of reach' : 'hides what it reaches'}: ${text}`;
  }
  if (isLet) {
    const isWhole =
      codes.length === 0 &&
      !/^[^{]*\{"[^"]+":(?:null|\{"__typename":"\w+Error")/.test(JSON.stringify(answer.data));
    return isWhole ? null : `is kept from whom the table lets in: ${text}`;
  }
  const isElsewhere = caller.reach === 'another connection';
  const missing = {
    ...target,
    ...nothing,
    ...(isElsewhere ? { connection: noConnection } : { baseId: noBase }),
  };
  const given = openly(answer, target);
  // A connection that does not exist looks the same to those who would see it. Of a base only the service knows.
  for (const asker of isElsewhere ? [key, keys.get(`${caller.role} of all`)!] : [key]) {
    const expected = openly(await ask(name, guard, missing, asker), missing);
    if (given !== expected) return `differs from what does not exist:\n  ${given}\n  ${expected}`;
  }
  return /Success"/.test(given) ? `gives even what does not exist: ${given}` : null;
}

test('every field of the schema stands in one of the two tables, and nothing else does', () => {
  const listed = [
    ...Object.keys(guards),
    ...Object.entries(following).flatMap(([type, fields]) =>
      fields.split(' ').map((field) => `${type}.${field}`),
    ),
  ];
  // A field that is missing on the left is new: say in access-table.ts who may see it.
  expect(listed.sort()).toEqual(allFields(schema).sort());
});

test('without a key there is nothing at all', async () => {
  for (const [name, all] of Object.entries(guards)) {
    const [type, field] = name.split('.') as [string, string];
    if (!['Query', 'Mutation', 'Subscription'].includes(type)) continue;
    const args = all[0]?.args?.(own);
    const { status, data, errors } = await app.graphql(
      `${type.toLowerCase()} { ${field}${args === undefined ? '' : `(${args})`} ${below(type, field)} }`,
      {},
      { key: null },
    );
    expect({ name, status, data: data ?? null, code: errors?.[0]?.extensions.code }).toEqual({
      name,
      status: 401,
      data: null,
      code: 'UNAUTHENTICATED',
    });
  }
});

describe('every field answers as the table says', () => {
  test.each(callers)(
    '$name',
    async (caller) => {
      const all = Object.entries(guards).flatMap(([name, own]) => own.map((guard) => ({ name, guard })));
      const changes = ({ name }: { name: string }) => name.startsWith('Mutation.');
      const judged = async ({ name, guard }: { name: string; guard: Guard }) => {
        const found = await fault(name, guard, caller);
        return found === null ? [] : [`${name} ${found}`.slice(0, 2_000)];
      };
      const faults = (await Promise.all(all.filter((one) => !changes(one)).map(judged))).flat();
      for (const one of all.filter(changes)) faults.push(...(await judged(one)));
      expect(faults).toEqual([]);
    },
    60_000,
  );

  test('and nothing is warned of, such as listeners that are never removed', () => {
    expect(warnings).toEqual([]);
  });

  test('and none was left out', () => {
    const errors = errorTypes(schema);
    const unanswered = allFields(schema).filter((name) => {
      const type = name.slice(0, name.indexOf('.'));
      return !answered.has(name) && !errors.has(type) && !notShownHere.has(type);
    });
    expect(unanswered).toEqual([]);
  });
});
