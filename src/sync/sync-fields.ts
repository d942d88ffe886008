import { operationSchemas } from '../bases/schema.ts';
import type { TableSchema } from '../bases/table-schema.ts';
import { requireId } from '../calendly/ids.ts';
import { connectionArgument } from '../connections/connection-argument.ts';
import { AppError } from '../errors.ts';
import { builder } from '../graphql/builder.ts';
import type { GraphQLContext } from '../graphql/context.ts';
import {
  connectionErrors,
  NameTaken,
  SyncNotFound,
  TargetNotFound,
  TargetUnfit,
  withTypedErrors,
} from '../graphql/error-types.ts';
import { InvalidInput } from '../graphql/invalid-input.ts';
import { requireListLength } from '../graphql/list-slice.ts';
import { SyncConflictsEnum, SyncDirectionEnum, SyncRef, visibleSync } from './schema.ts';
import type { Sync } from './sync.ts';

/** Longest name of a schema and a table, in characters. */
const maxTargetCharacters = 140;

/** What sending changes takes. */
const writeScopes = ['data.records:write'];

const SyncColumnInput = builder.inputType('SyncColumnInput', {
  description: 'A field and the column that it goes to.',
  fields: (t) => ({
    field: t.string({ required: true, description: 'The field, by id or exact name.' }),
    column: t.string({ required: true, description: 'The column, exactly as PostgreSQL spells it.' }),
  }),
});

const columnsHelp =
  'Which field goes to which column of an existing table; at least one. Left out where the server makes the table: it gets a column for each field.';

const CreateSyncInput = builder.inputType('CreateSyncInput', {
  description: 'A new sync.',
  fields: (t) => ({
    connection: t.int(connectionArgument),
    baseId: t.string({ required: true, description: 'Id of the base; starts with `app`.' }),
    tableId: t.string({ required: true, description: 'The table, by id or exact name.' }),
    direction: t.field({
      type: SyncDirectionEnum,
      defaultValue: 'pull',
      description: 'Which side follows which.',
    }),
    conflicts: t.field({
      type: SyncConflictsEnum,
      defaultValue: 'calendly_wins',
      description: 'Who wins where both sides have changed the same cell.',
    }),
    table: t.string({
      description:
        'An existing table with a primary key in the database of the server, as `schema.name`. When left out, one is made in the schema `calendly`. Takes a key that is not limited to some bases.',
    }),
    columns: t.field({ type: [SyncColumnInput], description: columnsHelp }),
  }),
});

/** A result that is the sync alone. */
export const withSync = (name: string, description: string) =>
  builder.objectRef<{ sync: Sync }>(name).implement({
    description,
    fields: (t) => ({
      sync: t.field({ type: SyncRef, description: 'The sync as it is now.', resolve: ({ sync }) => sync }),
    }),
  });

builder.mutationField('createSync', (t) =>
  t.field({
    type: withSync('CreateSyncSuccess', 'The sync was made, and begins to fill its table.'),
    nullable: true,
    authScopes: { role: 'admin' },
    args: { input: t.arg({ type: CreateSyncInput, required: true, description: 'The new sync.' }) },
    description:
      'Keeps a PostgreSQL table in step with a table of Calendly from now on: reads it whole, then follows every change. Needs a connection with the scopes `webhook:manage`, `data.records:read` and `schema.bases:read`, and `data.records:write` unless the direction is PULL. For admins.',
    errors: { types: [...connectionErrors, NameTaken, TargetNotFound, TargetUnfit] },
    resolve: (_root, { input }, context) =>
      withTypedErrors(async () => {
        const { app, caller, operation } = context;
        const { connection: connectionId, baseId, tableId, columns } = input;
        requireId('app', baseId, 'baseId');
        caller.requireBase(connectionId, baseId);
        const direction = input.direction ?? 'pull';
        const target = input.table == null ? null : readTarget(input.table);
        requireListLength('columns', columns?.length ?? 0);
        if ((target === null) !== (columns == null) || columns?.length === 0) {
          const message =
            target === null
              ? 'Columns go with a table: leave them out, or name the table that they belong to'
              : 'Columns must name at least one field and its column';
          throw new InvalidInput([{ path: ['columns'], message }]);
        }
        if (target !== null) requireReachForTables(context, 'Leave `table` out, or use a key for all bases.');
        if (direction !== 'pull') await requireWriting(context, connectionId);
        const names = columns?.map(({ field }) => field);
        const table = await operationSchemas(context).table(connectionId, baseId, tableId, names);
        requireFields(table, columns ?? []);
        const wish = {
          connectionId,
          baseId,
          direction,
          conflicts: input.conflicts ?? 'calendly_wins',
          target,
          columns: columns ?? null,
          createdBy: caller.id,
        };
        return { sync: await app.syncs.create(wish, table, operation) };
      }),
  }),
);

/** Faults with a suggestion; finding it takes long enough to count where much is misspelt. */
const maxSuggestions = 10;

/** @throws InvalidInput naming each field that the table does not have */
function requireFields(table: TableSchema, columns: readonly { field: string }[]): void {
  const faults = columns.flatMap(({ field }, index) =>
    table.findField(field) ? [] : [{ path: ['columns', String(index), 'field'], field }],
  );
  if (faults.length === 0) return;
  throw new InvalidInput(
    faults.map(({ path, field }, index) => ({
      path,
      message: table.fieldNotFound(field, { suggests: index < maxSuggestions }).message,
    })),
  );
}

/** @throws AppError SCOPE_MISSING, and what keeps the connection from being used */
async function requireWriting({ app, operation }: GraphQLContext, connectionId: number): Promise<void> {
  await app.upstream.api(connectionId, operation, writeScopes);
}

/**
 * What goes from or to an existing table may be others' business than that of the bases that a key is limited to.
 * @throws AppError FORBIDDEN
 */
function requireReachForTables({ caller }: GraphQLContext, nextStep: string): void {
  if (caller.baseIds === null) return;
  throw new AppError(
    'FORBIDDEN',
    `Your key reaches some bases only, and a table of your own may hold what belongs to others. ${nextStep}`,
  );
}

/** @throws InvalidInput */
function readTarget(table: string): { targetSchema: string; targetTable: string } {
  const [, targetSchema, targetTable] = /^([^.\0]+)\.([^.\0]+)$/.exec(table) ?? [];
  if (targetSchema && targetTable && table.length <= maxTargetCharacters)
    return { targetSchema, targetTable };
  throw new InvalidInput([{ path: ['table'], message: 'Table must be spelled as schema.name' }]);
}

const UpdateSyncInput = builder.inputType('UpdateSyncInput', {
  description: 'What is to be different. What is left out stays.',
  fields: (t) => ({
    id: t.string({ required: true, description: 'Our id of the sync.' }),
    direction: t.field({
      type: SyncDirectionEnum,
      description:
        'Which side follows which. Of a sync with a table that was there before, takes a key that is not limited to some bases.',
    }),
    conflicts: t.field({
      type: SyncConflictsEnum,
      description: 'Who wins where both sides have changed the same cell.',
    }),
    columns: t.field({
      type: [SyncColumnInput],
      description:
        'All fields and the columns that they go to, of a table that was there before, while the direction is PULL. Columns that are no longer named keep what they have. Takes a key that is not limited to some bases.',
    }),
  }),
});

builder.mutationField('updateSync', (t) =>
  t.field({
    type: withSync('UpdateSyncSuccess', 'The sync was edited.'),
    nullable: true,
    authScopes: { role: 'admin' },
    args: { input: t.arg({ type: UpdateSyncInput, required: true, description: 'What to edit.' }) },
    description:
      'Edits a sync. Where its columns have changed, all rows are brought in step without asking Calendly. For admins.',
    errors: { types: [...connectionErrors, SyncNotFound, TargetNotFound, TargetUnfit] },
    resolve: (_root, { input }, context) =>
      withTypedErrors(async () => {
        const sync = await visibleSync(input.id, context);
        const direction = input.direction ?? sync.direction;
        if (!sync.owned && (input.columns != null || direction !== sync.direction))
          requireReachForTables(
            context,
            'Leave `columns` and `direction` as they are, or use a key for all bases.',
          );
        if (direction !== 'pull' && direction !== sync.direction)
          await requireWriting(context, sync.connectionId);
        const { columns: wishes } = input;
        requireListLength('columns', wishes?.length ?? 0);
        if (wishes && (sync.owned || wishes.length === 0)) {
          const message = sync.owned
            ? 'The server has made the table: it has a column for each field'
            : 'Columns must name at least one field and its column';
          throw new InvalidInput([{ path: ['columns'], message }]);
        }
        const { connectionId, baseId, tableId } = sync;
        const names = wishes?.map(({ field }) => field);
        const columns = wishes && {
          wishes,
          table: await operationSchemas(context).table(connectionId, baseId, tableId, names),
        };
        if (columns) requireFields(columns.table, wishes);
        const edit = {
          direction: input.direction ?? null,
          conflicts: input.conflicts ?? null,
          columns: columns ?? null,
        };
        return { sync: await context.app.syncs.update(sync, edit) };
      }),
  }),
);
