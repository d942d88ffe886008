import { connectionNotFound } from '../../access/caller.ts';
import { operationSchemas } from '../../bases/schema.ts';
import { isObject } from '../../calendly/cell-values.ts';
import { AppError } from '../../errors.ts';
import type { GraphQLContext } from '../../graphql/context.ts';
import { InvalidInput } from '../../graphql/invalid-input.ts';
import { ActionRefused } from '../action-errors.ts';
import { checkTemplate, referredFields, withFieldIds, type ActionTemplate } from './action-template.ts';
import type { TriggerPlace } from './stored-triggers.ts';

/**
 * The action of a trigger, as it is kept. Whoever gives it must be allowed to write where it writes: later it acts with
 * nobody's rights but its own.
 * @throws InvalidInput with the faults of its form, AppError of what is out of reach or not there
 */
export async function readAction(
  given: unknown,
  place: TriggerPlace,
  context: GraphQLContext,
): Promise<ActionTemplate> {
  const checked = formOf(given);
  const template = checked.given;
  const connection = await findConnection(checked.connection, context);
  const { baseId } = template.config;
  context.caller.requireBase(connection, baseId);
  const schemas = operationSchemas(context);
  const referred = referredFields(template);
  const source = await schemas.table(place.connectionId, place.baseId, place.tableId, referred);
  const fields = isObject(template.config.fields) ? template.config.fields : {};
  const target = await schemas.table(connection, baseId, template.config.tableId, Object.keys(fields));
  const { action, config } = withFieldIds(template, (name) => source.getField(name).id);
  const byId = Object.entries(isObject(config.fields) ? config.fields : {}).map(([name, value]) => [
    target.getField(name).id,
    value,
  ]);
  return {
    action,
    connection,
    config: {
      ...config,
      tableId: target.id,
      ...(config.fields === undefined ? {} : { fields: Object.fromEntries(byId) as object }),
    },
  };
}

function formOf(given: unknown): ReturnType<typeof checkTemplate> {
  try {
    return checkTemplate(given);
  } catch (error) {
    if (!(error instanceof ActionRefused)) throw error;
    throw new InvalidInput(error.faults.map(({ path, message }) => ({ path: ['action', ...path], message })));
  }
}

/** @throws AppError CONNECTION_NOT_FOUND for what is missing and for what is out of the caller's reach alike */
async function findConnection(idOrName: number | string, { app, caller }: GraphQLContext): Promise<number> {
  const { connections } = app;
  const found =
    typeof idOrName === 'number' ? await connections.find(idOrName) : await connections.findByName(idOrName);
  if (found && caller.sees(found.id)) return found.id;
  if (typeof idOrName === 'number') throw connectionNotFound(idOrName);
  throw new AppError(
    'CONNECTION_NOT_FOUND',
    `There is no connection with the name ${JSON.stringify(idOrName)}. The query "connections" lists the ones you can use.`,
  );
}
