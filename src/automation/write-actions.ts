import { AppError } from '../errors.ts';
import { selectsAll } from '../records/record-selection.ts';
import { checkIds, checkRecords, type RecordToWrite } from '../records/writes/record-check.ts';
import { write, writtenRecord, type ToldResult, type WriteKind } from '../records/writes/record-write.ts';
import { creating, deleting, updating } from '../records/writes/write-calls.ts';
import { ActionNotConfirmed, ActionRefused } from './action-errors.ts';
import { action, type ActionResult, type ActionWork } from './action.ts';
import { recordJson } from './record-json.ts';
import { baseId, cells, recordId, tableId, typecast } from './settings.ts';

interface Target {
  baseId: string;
  tableId: string;
  typecast?: boolean | null | undefined;
}

export const createRecord = action({ baseId, tableId, fields: cells, typecast }, (config, work) => {
  const mode = { typecast: config.typecast ?? false };
  return writeOne<RecordToWrite>(work, config, {
    check: (table) => checkRecords([{ fields: config.fields }], table, mode),
    call: (table) => creating({ baseId: config.baseId, table, ...mode }),
  });
});

export const updateRecord = action({ baseId, tableId, recordId, fields: cells, typecast }, (config, work) => {
  const mode = { typecast: config.typecast ?? false };
  return writeOne<RecordToWrite & { id: string }>(work, config, {
    check: (table) => checkRecords([{ id: config.recordId, fields: config.fields }], table, mode),
    call: (table) => updating({ baseId: config.baseId, table, ...mode }),
  });
});

export const deleteRecord = action({ baseId, tableId, recordId }, (config, work) =>
  writeOne<string>(work, config, {
    check: () => checkIds([config.recordId]),
    call: (table) => deleting({ baseId: config.baseId, table }),
  }),
);

/**
 * Writes one record. A result stands for a write that the upstream has confirmed; everything else is an error.
 * @throws ActionRefused of what the table has against it, ActionNotConfirmed
 */
async function writeOne<Item extends string | RecordToWrite>(
  { records, connectionId, given, idempotencyKey }: ActionWork,
  { typecast, ...target }: Target,
  kind: Pick<WriteKind<Item>, 'check' | 'call'>,
): Promise<ActionResult> {
  const request = { connection: connectionId, ...target, typecast: typecast ?? null, idempotencyKey };
  const told = await write<Item>(records, request, {
    mutation: 'runAction',
    meant: given,
    recordCount: 1,
    ...kind,
  });
  // The only record of the write is what the config describes: `records`, `0`, `fields` there is `config`, `fields` here.
  if (told.faults.length > 0)
    throw new ActionRefused(
      told.faults.map(({ path, message }) => ({ path: ['config', ...path.slice(2)], message })),
    );
  const [result] = told.results;
  if (!result) throw new Error('A write of one record told nothing of it.');
  if (result.status !== 'WRITTEN') throw new ActionNotConfirmed(result, result.status);
  return {
    status: result.status,
    effect: result.effect,
    recordId: result.recordId,
    record: await shownRecord(records, result),
    replayed: told.replayed,
  };
}

/** That it was written stays true where the record of a write that is told again can't be read. */
async function shownRecord(records: ActionWork['records'], result: ToldResult): Promise<object | null> {
  try {
    const record = await writtenRecord(records, result, selectsAll);
    return record && recordJson(record, null);
  } catch (error) {
    if (error instanceof AppError) return null;
    throw error;
  }
}
