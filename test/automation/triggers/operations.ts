import type { TestApp, UntypedData } from '../../support/app.ts';
import { crm } from '../../changes/upstream-edits.ts';

export const contacts = { baseId: crm.baseId, tableId: crm.tableId };

/** Runs a mutation on triggers. @returns its success; rejects with its error */
export async function mutate(
  app: Pick<TestApp, 'graphql'>,
  name: string,
  input: object,
  fields: string,
): Promise<UntypedData> {
  const type = name.charAt(0).toUpperCase() + name.slice(1);
  const { data, errors } = await app.graphql(
    `mutation ($input: ${type}Input!) { ${name}(input: $input) { __typename ... on ${type}Success { ${fields} } ... on Error { code message } } }`,
    { input },
  );
  const result = data?.[name];
  if (result?.__typename !== `${type}Success`) throw new Error(JSON.stringify(errors ?? result));
  return result;
}

export async function createTrigger(
  app: Pick<TestApp, 'graphql'>,
  input: { connection: number; endpoint: string } & Record<string, unknown>,
): Promise<{ id: string; secret: string }> {
  const { trigger, secret } = await mutate(
    app,
    'createTrigger',
    { name: 'A trigger', ...contacts, ...input },
    'secret trigger { id }',
  );
  return { id: trigger.id, secret };
}

export async function triggerOf(app: Pick<TestApp, 'graphql'>, id: string): Promise<UntypedData> {
  const { data, errors } = await app.graphql(
    `query ($id: String!) { trigger(id: $id) { id name state pausedBecause problem kinds fields filter endpoint
       health { waiting parked failuresInRow failingSince }
       deliveries { nodes { id type recordId status attempts httpStatus answer durationMs event nextAttemptAt finishedAt error { code message } } } } }`,
    { id },
  );
  if (errors) throw new Error(JSON.stringify(errors));
  return data.trigger;
}

/** Has triggers look for work now, which they would do within a second: a clock that was moved wakes nobody. */
export async function lookNow(app: Pick<TestApp, 'graphql'>, id: string): Promise<void> {
  await mutate(app, 'replayDeliveries', { id, deliveries: [] }, 'replayed');
}

/** As if the time had come to look whether its connection may still follow its base. */
export async function checkNow(app: Pick<TestApp, 'graphql' | 'database'>, id: string): Promise<void> {
  await app.database.query(`UPDATE triggers SET checked_at = checked_at - interval '1 hour' WHERE id = $1`, [
    id,
  ]);
  await lookNow(app, id);
}
