import { ApiError } from '../api-error.ts';
import type { StoredAttachment } from '../bases/documents.ts';
import type { Ids } from '../ids.ts';

const MAX_ATTACHMENTS = 1_000;
const MAX_URL_CHARACTERS = 8_000;

const TYPES: Record<string, string> = {
  png: 'image/png',
  jpg: 'image/jpeg',
  jpeg: 'image/jpeg',
  gif: 'image/gif',
  svg: 'image/svg+xml',
  pdf: 'application/pdf',
  txt: 'text/plain',
  csv: 'text/csv',
  json: 'application/json',
};

/**
 * Reads an attachment cell: `{url, filename?}` adds a file, `{id}` keeps one, and what is left out goes. The file is
 * not fetched; only an address that can never be (a host under `.invalid`) counts as failed and is dropped.
 */
export function readAttachments(
  value: readonly unknown[],
  previous: readonly StoredAttachment[],
  ids: Ids,
): { attachments: StoredAttachment[]; failed: boolean } {
  if (value.length > MAX_ATTACHMENTS) throw invalidAttachment();
  let failed = false;
  const attachments: StoredAttachment[] = [];
  for (const item of value) {
    if (typeof item !== 'object' || item === null) throw invalidAttachment();
    const { id, url, filename } = item as { id?: unknown; url?: unknown; filename?: unknown };
    if (id !== undefined) {
      const kept = previous.find((attachment) => attachment.id === id);
      if (kept === undefined) throw invalidAttachment();
      attachments.push(kept);
      continue;
    }
    const address = publicAddress(url);
    if (filename !== undefined && typeof filename !== 'string') throw invalidAttachment();
    if (address.hostname.endsWith('.invalid')) failed = true;
    else attachments.push(describe(ids.next('att'), address, filename));
  }
  return { attachments, failed };
}

function publicAddress(url: unknown): URL {
  if (typeof url !== 'string' || url.length > MAX_URL_CHARACTERS || !URL.canParse(url))
    throw invalidAttachment();
  const address = new URL(url);
  if (address.protocol !== 'http:' && address.protocol !== 'https:') throw invalidAttachment();
  return address;
}

function describe(id: string, address: URL, filename: string | undefined): StoredAttachment {
  const lastSegment = address.pathname.split('/').at(-1) ?? '';
  const name = filename || lastSegment || 'attachment';
  const extension = /\.([a-z0-9]{1,8})$/i.exec(name)?.[1]?.toLowerCase() ?? '';
  const type = TYPES[extension] ?? 'application/octet-stream';
  return { id, filename: name, size: 1_024 + name.length, type };
}

function invalidAttachment(): ApiError {
  return new ApiError(
    422,
    'INVALID_ATTACHMENT_OBJECT',
    'Each attachment is an object with a public http(s) "url", or the "id" of one in the cell',
  );
}
