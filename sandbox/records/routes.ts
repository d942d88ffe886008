import type { TableDoc } from '../bases/documents.ts';
import type { SandboxContext } from '../context.ts';
import type { Reply, SandboxRequest } from '../http/message.ts';
import type { Router } from '../http/router.ts';
import type { Author } from './base-edit.ts';
import { listRecords } from './list.ts';
import { parametersFromBody, parametersFromQuery, queryBoolean, readShape } from './list-parameters.ts';
import { showRecord, type ShownRecord } from './record-shape.ts';
import { readCreate, readDelete, readSingle, readUpdate, type WriteRequest } from './write-requests.ts';
import {
  createRecords,
  deleteRecords,
  getRecordOf,
  missingRecord,
  updateRecords,
  type WriteResult,
} from './writes.ts';

const READ = { scopes: ['data.records:read'], baseRole: 'read' } as const;
const WRITE = { scopes: ['data.records:write'], baseRole: 'edit' } as const;

/** The record endpoints. */
export function recordRoutes(router: Router, context: SandboxContext): void {
  const read = (
    method: string,
    pattern: string,
    endpoint: string,
    handler: (table: TableDoc, request: SandboxRequest) => unknown,
  ): void =>
    router.add(method, pattern, {
      endpoint,
      scopes: [...READ.scopes],
      baseRole: READ.baseRole,
      handler: (request): Reply => ({ status: 200, json: handler(tableOf(context, request), request) }),
    });
  const write = (
    method: string,
    pattern: string,
    endpoint: string,
    handler: (table: TableDoc, request: SandboxRequest) => Written,
  ): void =>
    router.add(method, pattern, {
      endpoint,
      scopes: [...WRITE.scopes],
      baseRole: WRITE.baseRole,
      handler: (request): Reply => {
        const table = tableOf(context, request);
        const { recordIds, json } = handler(table, request);
        context.ledger.recordWrite({ endpoint, baseId: table.baseId, tableId: table.id, recordIds });
        return { status: 200, json };
      },
    });

  read('GET', '/v0/:baseId/:table', 'listRecords', (table, { query }) =>
    listRecords(context, table, parametersFromQuery(query)),
  );
  read('POST', '/v0/:baseId/:table/listRecords', 'listRecords', (table, request) =>
    listRecords(context, table, parametersFromBody(request.json(), request.query)),
  );
  read('GET', '/v0/:baseId/:table/:recordId', 'getRecord', (_table, request) => getRecord(context, request));

  write('POST', '/v0/:baseId/:table', 'createRecords', (table, request) => {
    const body = readCreate(request.json(), context.settings.limits.recordsPerWrite);
    return written(context, table, body, createRecords(context, table, body, authorOf(context, request)));
  });
  for (const [method, verb] of [
    ['PATCH', 'update'],
    ['PUT', 'replace'],
  ] as const) {
    write(method, '/v0/:baseId/:table', `${verb}Records`, (table, request) => {
      const body = readUpdate(request.json(), context.settings.limits.recordsPerWrite);
      const result = updateRecords(context, table, body, method === 'PUT', authorOf(context, request));
      return written(context, table, body, result);
    });
    write(method, '/v0/:baseId/:table/:recordId', `${verb}Record`, (table, request) => {
      const { id } = getRecordOf(context, table, request.params['recordId'] ?? '');
      const body = readSingle(request.json());
      const records = body.records.map(({ fields }) => ({ id, fields }));
      const author = authorOf(context, request);
      return written(
        context,
        table,
        body,
        updateRecords(context, table, { ...body, records }, method === 'PUT', author),
      );
    });
  }
  write('DELETE', '/v0/:baseId/:table', 'deleteRecords', (table, request) => {
    const recordIds = readDelete(request.query, context.settings.limits.recordsPerWrite);
    deleteRecords(context, table, recordIds, authorOf(context, request));
    return { recordIds, json: { records: recordIds.map((id) => ({ id, deleted: true })) } };
  });
  write('DELETE', '/v0/:baseId/:table/:recordId', 'deleteRecord', (table, request) => {
    const { id } = getRecordOf(context, table, request.params['recordId'] ?? '');
    deleteRecords(context, table, [id], authorOf(context, request));
    return { recordIds: [id], json: { id, deleted: true } };
  });
}

interface Written {
  recordIds: string[];
  json: unknown;
}

function tableOf(context: SandboxContext, { params }: SandboxRequest): TableDoc {
  return context.bases.getTable(params['baseId'] ?? '', params['table'] ?? '');
}

function authorOf(context: SandboxContext, { grant }: SandboxRequest): Author {
  return { source: 'publicApi', user: context.users.get(grant.userId) ?? null };
}

/** Looks base-wide: a record of another table is returned all the same. */
function getRecord(context: SandboxContext, { params, query }: SandboxRequest): ShownRecord {
  const record = context.records.findInBase(params['baseId'] ?? '', params['recordId'] ?? '');
  const table = record && context.bases.table(record.tableId);
  if (record === undefined || table === undefined) throw missingRecord(context);
  const given = {
    cellFormat: query.get('cellFormat') ?? undefined,
    returnFieldsByFieldId: queryBoolean(query.get('returnFieldsByFieldId') ?? 'false'),
    includeDateDependencyMetadata: queryBoolean(query.get('includeDateDependencyMetadata') ?? 'false'),
  };
  return showRecord(context.cells, table, record, readShape(given, query));
}

/** The answer to a create or update. The table is read anew: typecast may have added choices. */
function written(
  context: SandboxContext,
  { id }: TableDoc,
  request: WriteRequest,
  result: WriteResult,
): Written {
  const table = context.bases.table(id);
  const records = result.recordIds.flatMap((recordId) => {
    const record = table && context.records.find(id, recordId);
    return table && record
      ? [showRecord(context.cells, table, record, { byFieldId: request.byFieldId })]
      : [];
  });
  const details = result.attachmentsFailed
    ? { details: { message: 'partialSuccess', reasons: ['attachmentsFailedUploading'] } }
    : {};
  if (request.single) return { recordIds: result.recordIds, json: { ...records[0], ...details } };
  const upserted =
    request.fieldsToMergeOn === undefined
      ? {}
      : { createdRecords: result.created, updatedRecords: result.updated };
  return { recordIds: result.recordIds, json: { records, ...upserted, ...details } };
}
