import { createHash } from 'node:crypto';
import type { TableSchema } from '../../bases/table-schema.ts';
import { isIsoDate } from './iso-date.ts';

/** The same for the same value, however the keys of its objects are ordered. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) =>
    typeof part === 'object' && part !== null && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  );
}

export function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

/**
 * A hash by which a creation can be told in the change log, without keeping its cells. Null when one of them may read
 * back differently than it was written (people, attachments, converted values, times without a zone) or all are empty.
 * @param salt keeps equal cells of different writes from having equal hashes
 * @param fields by field id
 */
export function fingerprintOf(
  fields: Record<string, unknown>,
  table: TableSchema,
  salt: string,
): Buffer | null {
  const cells: Record<string, unknown> = {};
  for (const [id, value] of Object.entries(fields)) {
    if (isBlank(value)) continue;
    const type = table.findField(id)?.type ?? '';
    if (!readsBackAsWritten(type, value)) return null;
    cells[id] = value;
  }
  return Object.keys(cells).length === 0 ? null : hashOf(cells, salt);
}

/** The same of a creation in the change log. `computed` are the fields that nobody wrote. */
export function fingerprintOfLogged(
  logged: Readonly<Record<string, unknown>>,
  computed: ReadonlySet<string>,
  salt: string,
): Buffer {
  const written = Object.entries(logged).filter(([id, value]) => !computed.has(id) && !isBlank(value));
  return hashOf(Object.fromEntries(written), salt);
}

function hashOf(cells: Record<string, unknown>, salt: string): Buffer {
  const plain = Object.entries(cells).map(([id, value]) => [
    id,
    Array.isArray(value) ? [...new Set(value)].sort() : value,
  ]);
  return sha256(salt + canonicalJson(Object.fromEntries(plain)));
}

function isBlank(value: unknown): boolean {
  return value === null || value === '' || value === false || (Array.isArray(value) && value.length === 0);
}

const textTypes = new Set([
  'singleLineText',
  'multilineText',
  'richText',
  'email',
  'url',
  'phoneNumber',
  'singleSelect',
]);
const numberTypes = new Set(['number', 'percent', 'currency', 'duration', 'rating']);

function readsBackAsWritten(type: string, value: unknown): boolean {
  if (textTypes.has(type)) return typeof value === 'string';
  if (numberTypes.has(type)) return typeof value === 'number';
  switch (type) {
    case 'checkbox':
      return value === true;
    case 'date':
      return typeof value === 'string' && value.length === 10 && isIsoDate(value);
    case 'dateTime':
      return typeof value === 'string' && isIsoDate(value) && new Date(value).toISOString() === value;
    case 'multipleSelects':
    case 'multipleRecordLinks':
      return Array.isArray(value) && value.every((one) => typeof one === 'string');
    default:
      return false;
  }
}
