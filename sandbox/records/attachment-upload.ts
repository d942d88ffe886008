import { ApiError, invalidRequest } from '../api-error.ts';
import type { StoredAttachment } from '../bases/documents.ts';
import type { SandboxContext } from '../context.ts';
import type { SandboxRequest } from '../http/message.ts';
import type { Router } from '../http/router.ts';
import { BaseEdit } from './base-edit.ts';
import { knownField } from './list.ts';
import { showRecord, type ShownRecord } from './record-shape.ts';
import { missingRecord } from './writes.ts';

/** Of the file itself, before base64. */
const MAX_UPLOAD_BYTES = 5 * 1024 * 1024;

interface Upload {
  contentType: string;
  filename: string;
  bytes: number;
}

/** `uploadAttachment`, which the service has on a host of its own; the bytes are counted, not kept. */
export function attachmentUploadRoutes(router: Router, context: SandboxContext): void {
  router.add('POST', '/v0/:baseId/:recordId/:field/uploadAttachment', {
    endpoint: 'uploadAttachment',
    scopes: ['data.records:write'],
    baseRole: 'edit',
    handler: (request) => ({ status: 200, json: upload(context, request) }),
  });
}

/** The answer holds the one cell, by field id. */
function upload(context: SandboxContext, request: SandboxRequest): ShownRecord {
  const { baseId = '', recordId = '', field: nameOrId = '' } = request.params;
  const record = context.records.findInBase(baseId, recordId);
  const table = record && context.bases.table(record.tableId);
  if (record === undefined || table === undefined) throw missingRecord(context);
  const field = knownField(table, nameOrId);
  if (field.type !== 'multipleAttachments') throw invalidRequest();
  const { contentType: type, filename, bytes: size } = readUpload(request.json());
  const present = (record.cells[field.id] as StoredAttachment[] | undefined) ?? [];
  const attachment: StoredAttachment = { id: context.ids.next('att'), filename, size, type };
  const edit = new BaseEdit(context, baseId, {
    source: 'publicApi',
    user: context.users.get(request.grant.userId) ?? null,
  });
  edit.update(table.id, recordId, new Map([[field.id, [...present, attachment]]]));
  edit.commit();
  context.ledger.recordWrite({
    endpoint: request.endpoint,
    baseId,
    tableId: table.id,
    recordIds: [recordId],
  });
  const updated = context.records.find(table.id, recordId) ?? record;
  return showRecord(context.cells, table, updated, { fields: [field], byFieldId: true });
}

function readUpload(body: unknown): Upload {
  if (typeof body !== 'object' || body === null) throw invalidRequest();
  const { contentType, file, filename } = body as {
    contentType?: unknown;
    file?: unknown;
    filename?: unknown;
  };
  if (typeof contentType !== 'string' || typeof filename !== 'string' || typeof file !== 'string')
    throw invalidRequest();
  if (filename === '' || !/^[0-9A-Za-z+/]*={0,2}$/.test(file)) throw invalidRequest();
  const bytes = Buffer.byteLength(file, 'base64');
  if (bytes > MAX_UPLOAD_BYTES)
    throw new ApiError(413, 'REQUEST_TOO_LARGE', 'An uploaded file has at most 5 MB');
  return { contentType, filename, bytes };
}
