import { isObject } from '../../calendly/cell-values.ts';
import type { MappedColumn } from '../sync.ts';

/** What a value of a row says as a cell: null when it is empty. */
export type RowCell = { cell: unknown } | { fault: string };

type Reader = (value: unknown) => RowCell;

const empty: RowCell = { cell: null };
/** Characters of a value that a message quotes. */
const maxQuoted = 60;

function unfit(value: unknown, wanted: string): RowCell {
  const text = JSON.stringify(value) ?? 'nothing';
  const told = text.length > maxQuoted ? `${text.slice(0, maxQuoted)}…` : text;
  return { fault: `holds ${told}, which is no ${wanted}` };
}

const text: Reader = (value) => {
  if (typeof value === 'string') return { cell: value || null };
  return typeof value === 'number' || typeof value === 'boolean'
    ? { cell: String(value) }
    : unfit(value, 'text');
};

const decimal = /^\s*[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?\s*$/i;

const number: Reader = (value) => {
  if (value === '') return empty;
  const read = typeof value === 'string' && decimal.test(value) ? Number(value) : value;
  // There is one zero upstream.
  return typeof read === 'number' && Number.isFinite(read)
    ? { cell: read === 0 ? 0 : read }
    : unfit(value, 'number that JSON can carry');
};

const checkbox: Reader = (value) =>
  typeof value === 'boolean' ? { cell: value || null } : unfit(value, 'boolean');

/** Years that the upstream's dates can have: four digits. */
const date: Reader = (value) => {
  if (value === '') return empty;
  const day = typeof value === 'string' ? /^(\d{4}-\d\d-\d\d)(?!\d)(?!.*BC$)/.exec(value)?.[1] : undefined;
  return day !== undefined && isDay(day) ? { cell: day } : unfit(value, 'date from year 0 to 9999');
};

const instantText = /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d+)?)?)(Z|[+-]\d\d(?::?\d\d)?)?)?$/;

/** To the millisecond, as the upstream keeps it. A time without a zone is one in UTC. */
const instant: Reader = (value) => {
  if (value === '') return empty;
  const [, day, time = '00:00', zone = 'Z'] =
    typeof value === 'string' ? (instantText.exec(value) ?? []) : [];
  if (day === undefined || !isDay(day)) return unfit(value, 'time from year 0 to 9999');
  const at = new Date(`${day}T${cutToMs(time)}${zone.length === 3 ? `${zone}:00` : zone}`);
  return Number.isNaN(at.getTime()) || at.getUTCFullYear() > 9999 || at.getUTCFullYear() < 0
    ? unfit(value, 'time from year 0 to 9999')
    : { cell: at.toISOString() };
};

function cutToMs(time: string): string {
  return time.replace(/(\.\d{3})\d+$/, '$1');
}

function isDay(day: string): boolean {
  const at = new Date(`${day}T00:00:00.000Z`);
  return !Number.isNaN(at.getTime()) && at.toISOString().startsWith(day);
}

/** A text stands for a list of one: `company_id text` for a link to one record. Each item stands once, the first time. */
const list: Reader = (value) => {
  if (value === '') return empty;
  const items: unknown[] = Array.isArray(value) ? value.filter((item) => item !== null) : [value];
  if (!items.every((item) => typeof item === 'string')) return unfit(value, 'list of texts');
  return { cell: items.length === 0 ? null : [...new Set(items)] };
};

const person: Reader = (value) => {
  if (value === '') return empty;
  if (typeof value === 'string') return { cell: value.includes('@') ? { email: value } : { id: value } };
  if (!isObject(value)) return unfit(value, 'person, {"id"} or {"email"}');
  if (typeof value.id === 'string') return { cell: { id: value.id } };
  return typeof value.email === 'string'
    ? { cell: { email: value.email } }
    : unfit(value, 'person, {"id"} or {"email"}');
};

const people: Reader = (value) => {
  if (!Array.isArray(value)) return unfit(value, 'list of people');
  const read = value.map(person);
  const fault = read.find((one) => 'fault' in one);
  if (fault) return fault;
  return { cell: read.length === 0 ? null : read.map((one) => ('cell' in one ? one.cell : null)) };
};

const barcode: Reader = (value) => {
  const given = typeof value === 'string' ? { text: value } : value;
  if (!isObject(given) || typeof given.text !== 'string') return unfit(value, 'barcode, {"text", "type"}');
  if (given.text === '') return empty;
  return {
    cell: typeof given.type === 'string' ? { text: given.text, type: given.type } : { text: given.text },
  };
};

/** By the upstream's word for the type of the field; what is not here is never written upstream by a sync. */
const readers = new Map<string, Reader>(
  Object.entries({
    singleLineText: text,
    multilineText: text,
    richText: text,
    email: text,
    url: text,
    phoneNumber: text,
    singleSelect: text,
    number,
    percent: number,
    currency: number,
    duration: number,
    rating: number,
    checkbox,
    date,
    dateTime: instant,
    multipleSelects: list,
    multipleRecordLinks: list,
    singleCollaborator: person,
    multipleCollaborators: people,
    barcode,
  }),
);

/**
 * Whether what a row holds for this field is sent to the upstream. Computed fields are not, nor attachments, of which the
 * upstream takes addresses and gives others back, nor types that are new to us.
 */
export function isSent({ fieldType, computed }: Pick<MappedColumn, 'fieldType' | 'computed'>): boolean {
  return !computed && readers.has(fieldType);
}

/** What a column's value, as `to_jsonb` writes it, says as a cell of a field that is sent. */
export function rowCell({ fieldType }: Pick<MappedColumn, 'fieldType'>, value: unknown): RowCell {
  if (value === null || value === undefined) return empty;
  return readers.get(fieldType)?.(value) ?? { fault: 'is not sent' };
}
