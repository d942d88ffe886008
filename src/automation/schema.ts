import { connectionNotFound, type Caller } from '../access/caller.ts';
import type { Operation } from '../calendly/operation.ts';
import type { ConnectionEntity } from '../connections/connection.entity.ts';
import type { Connections } from '../connections/connections.ts';
import { CalendlyConnectionRef } from '../connections/schema.ts';
import { AppError } from '../errors.ts';
import { builder } from '../graphql/builder.ts';
import { ErrorRef, keyedErrors, withTypedErrors } from '../graphql/error-types.ts';
import { InvalidInput } from '../graphql/invalid-input.ts';
import { recordWork } from '../records/operation-records.ts';
import { idempotencyKeyFault } from '../records/writes/idempotency-key.ts';
import { WriteStatusEnum } from '../records/writes/result-fields.ts';
import { ActionNotConfirmed, ActionRefused } from './action-errors.ts';
import type { ActionResult } from './action.ts';
import { actionNames, maxActionBytes, readStoredAction, type StoredAction } from './stored-action.ts';

builder.objectType(ActionNotConfirmed, {
  name: 'ActionNotConfirmedError',
  description:
    'The service did not confirm the write of an action. `code` and `message` tell why, `status` whether it may have taken effect.',
  interfaces: [ErrorRef],
  fields: (t) => ({
    status: t.field({
      type: WriteStatusEnum,
      description:
        'FAILED: it had no effect. NOT_SENT: it never left, and may be sent again. OUTCOME_UNKNOWN: it was sent and the answer was lost; send it again with the same idempotency key, which writes nothing, to hear whether that is known by now.',
      resolve: ({ status }) => status,
    }),
    recordId: t.exposeString('recordId', {
      nullable: true,
      description: 'The record that was to be written; null for a new one.',
    }),
  }),
});

const RunActionInput = builder.inputType('RunActionInput', {
  description: 'An action to run.',
  fields: (t) => ({
    action: t.field({
      type: 'JSON',
      required: true,
      description: `Exactly what automations store: an object with \`action\` (${actionNames.map((name) => `\`${name}\``).join(', ')}), \`connection\` (a number is an id, a text a name) and \`config\`, the settings of the action. At most ${maxActionBytes} bytes.`,
    }),
    idempotencyKey: t.string({
      description:
        'A text of your own, 1 to 255 printable ASCII characters, that stands for this run for a day, such as the id of the run and its step. Sent again with the same action it writes nothing but tells what became of the first; with another it is refused. Scoped to your key. Actions that only read take no notice of it.',
    }),
  }),
});

const RunActionSuccess = builder
  .objectRef<{ action: string; connection: ConnectionEntity; result: ActionResult }>('RunActionSuccess')
  .implement({
    description: 'The action was carried out; what it wrote, the service has confirmed.',
    fields: (t) => ({
      action: t.exposeString('action', { description: 'Its name, such as `calendly.createRecord`.' }),
      connection: t.field({
        type: CalendlyConnectionRef,
        description: 'The connection that it used.',
        resolve: ({ connection }) => connection,
      }),
      result: t.field({
        type: 'JSON',
        description:
          'What came of it, in a form that depends on the action: `bases`, `tables`, `records`, `record` or `changes`; beside lists a `pageInfo`, whose `endCursor` goes into the `after` of the next.',
        resolve: ({ result }) => result,
      }),
    }),
  });

builder.mutationField('runAction', (t) =>
  t.field({
    type: RunActionSuccess,
    nullable: true,
    authScopes: { role: 'editor' },
    args: { input: t.arg({ type: RunActionInput, required: true, description: 'The action.' }) },
    description:
      'Runs one action as automations store it. Its calls wait behind those of people. All faults of its form are told at once, each with its path. For editors and admins.',
    errors: { types: [...keyedErrors, ActionNotConfirmed] },
    resolve: (_root, { input }, context) =>
      withTypedErrors(async () => {
        const { app, caller, operation } = context;
        const idempotencyKey = input.idempotencyKey ?? null;
        const action = readInput(input.action, idempotencyKey);
        const connection = await findConnection(action.connection, app.connections, caller);
        const result = await inBackground(operation, () =>
          action.run({
            records: recordWork(context),
            connectionId: connection.id,
            changeLog: app.changeLog,
            findFeed: (connectionId, baseId) => app.webhooks.findFeed(connectionId, baseId, operation),
            given: action.given,
            idempotencyKey,
          }),
        ).catch((error: unknown) => {
          throw placed(error);
        });
        return { action: action.name, connection, result };
      }),
  }),
);

function readInput(given: unknown, idempotencyKey: string | null): StoredAction {
  const keyFault = idempotencyKeyFault(idempotencyKey);
  const faults = keyFault === null ? [] : [{ path: ['idempotencyKey'], message: keyFault }];
  try {
    const action = readStoredAction(given);
    if (faults.length === 0) return action;
  } catch (error) {
    const refused = placed(error);
    if (!(refused instanceof InvalidInput)) throw error;
    faults.push(...refused.faults);
  }
  throw new InvalidInput(faults);
}

/** Faults of an action at their place in the input. */
function placed(error: unknown): unknown {
  if (error instanceof ActionRefused)
    return new InvalidInput(
      error.faults.map(({ path, message }) => ({ path: ['action', ...path], message })),
    );
  if (!(error instanceof AppError) || error.code !== 'INVALID_INPUT') return error;
  const { argument } = error.details;
  const path = ['action', 'config', ...(typeof argument === 'string' ? [argument] : [])];
  return new InvalidInput([{ path, message: error.message }]);
}

/** @throws AppError CONNECTION_NOT_FOUND for what is missing and for what is out of the caller's reach alike */
async function findConnection(
  idOrName: number | string,
  connections: Connections,
  caller: Caller,
): Promise<ConnectionEntity> {
  const connection =
    typeof idOrName === 'number' ? await connections.find(idOrName) : await connections.findByName(idOrName);
  if (connection && caller.sees(connection.id)) return connection;
  if (typeof idOrName === 'number') throw connectionNotFound(idOrName);
  throw new AppError(
    'CONNECTION_NOT_FOUND',
    `There is no connection with the name ${JSON.stringify(idOrName)}. The query "connections" lists the ones you can use.`,
  );
}

/** Mutations run one after the other, so nothing else of the operation is under way meanwhile. */
async function inBackground<T>(operation: Operation, run: () => Promise<T>): Promise<T> {
  const { priority } = operation;
  operation.priority = 'background';
  try {
    return await run();
  } finally {
    operation.priority = priority;
  }
}
