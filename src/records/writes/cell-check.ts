import { suggestion } from '../../nearest-name.ts';
import type { FieldSchema } from '../../bases/table-schema.ts';
import { isObject } from '../../calendly/cell-values.ts';
import { isUpstreamId } from '../../calendly/ids.ts';
import { choiceNamesIn } from '../choice-names.ts';
import { isIsoDate } from './iso-date.ts';

/** Characters in one text cell, as the upstream documents it for its longest text. */
const maxTextCharacters = 100_000;
const maxUrlCharacters = 8_000;
/** Characters of a value that a message quotes. */
const maxQuoted = 60;
const defaultRatingMax = 10;

/** Under which circumstances a value is looked at. */
export interface CheckOptions {
  /** Whether the upstream will convert values; what it could convert then passes, and whether it can is for it to say. */
  typecast: boolean;
  /** Whether the record has no cells yet, so that there is nothing in them to keep. */
  isNew: boolean;
  /** Whether to look for the choice that a misspelt one was meant to be, which takes long enough to count. */
  suggests: boolean;
}

/** Says what is wrong with one value, beginning with what the field takes; null when nothing is. */
type Check = (value: unknown, field: FieldSchema, options: CheckOptions) => string | null;

/**
 * What the upstream would refuse this value for, as far as the schema tells: null when nothing is wrong. Whether linked
 * records, users and kept attachments exist is for the upstream to say, and fields of a type that is new to us take
 * anything.
 */
export function cellFault(field: FieldSchema, value: unknown, options: CheckOptions): string | null {
  const name = JSON.stringify(field.name);
  if (field.computed) {
    return `${name} is computed (${field.type}), so nobody can write it. Leave it out.`;
  }
  if (value === null) return null;
  const fault = checks.get(field.type)?.(value, field, options);
  return fault == null ? null : `${name} takes ${fault}`;
}

/** Whether a write with `typecast` adds a choice to the field. */
export function addsChoice(field: FieldSchema, value: unknown): boolean {
  const choices = choiceNamesIn(field.options);
  if (choices === null) return false;
  const given: unknown[] = Array.isArray(value) ? value : [value];
  return given.some((one) => typeof one === 'string' && one !== '' && !choices.includes(one));
}

const text: Check = (value, _field, { typecast }) => {
  if (typecast && (typeof value === 'number' || typeof value === 'boolean' || Array.isArray(value)))
    return null;
  if (typeof value !== 'string') return `a text, not ${kindOf(value)}.`;
  return value.length > maxTextCharacters
    ? `at most ${maxTextCharacters} characters, not ${value.length}.`
    : null;
};

const number: Check = (value, _field, { typecast }) => {
  if (typeof value === 'number' && Number.isFinite(value)) return null;
  if (typecast && typeof value === 'string') return null;
  return `a number, not ${kindOf(value)}.${hint(value)}`;
};

const rating: Check = (value, field, { typecast }) => {
  if (typecast && typeof value === 'string') return null;
  const given = typecast && typeof value === 'number' ? Math.round(value) : value;
  const max = typeof field.options?.max === 'number' ? field.options.max : defaultRatingMax;
  return typeof given === 'number' && Number.isInteger(given) && given >= 1 && given <= max
    ? null
    : `a whole number from 1 to ${max}, or null to empty it.`;
};

const checkbox: Check = (value, _field, { typecast }) => {
  if (typeof value === 'boolean') return null;
  if (typecast && (typeof value === 'string' || typeof value === 'number')) return null;
  return `true or false, not ${kindOf(value)}.`;
};

const date: Check = (value, field, { typecast }) => {
  const example = field.type === 'date' ? '2026-01-31' : '2026-01-31T07:00:00.000Z';
  if (typeof value !== 'string') return `a date as text, such as "${example}", not ${kindOf(value)}.`;
  if (typecast || value === '' || isIsoDate(value)) return null;
  return `a date in ISO 8601, such as "${example}", not ${quoted(value)}.`;
};

const singleSelect: Check = (value, field, options) => {
  if (value === '') return null;
  const given: unknown =
    options.typecast && Array.isArray(value)
      ? value[0]
      : options.typecast && typeof value === 'number'
        ? String(value)
        : value;
  return choiceFault(given, field, options);
};

const multipleSelects: Check = (value, field, options) => {
  if (options.typecast && typeof value === 'string') return null;
  if (!Array.isArray(value)) return `a list of names of choices, not ${kindOf(value)}.`;
  return firstFault(value, (one) => choiceFault(one, field, options));
};

function choiceFault(
  given: unknown,
  field: FieldSchema,
  { typecast, suggests }: CheckOptions,
): string | null {
  if (typeof given !== 'string') return `the names of its choices as texts, not ${kindOf(given)}.`;
  const choices = choiceNamesIn(field.options);
  if (choices === null || choices.includes(given)) return null;
  if (typecast) return given.trim() === '' ? 'no blank choice. Give null to empty it.' : null;
  const near = suggests ? suggestion(given, choices) : '';
  return `one of its choices, and ${quoted(given)} is none.${near} With "typecast" the service adds it.`;
}

const links: Check = (value, _field, { typecast }) => {
  if (typecast && typeof value === 'string') return null;
  if (!Array.isArray(value)) return `a list of record ids, not ${kindOf(value)}.`;
  return firstFault(value, (one) => {
    if (isUpstreamId('rec', one) || (typecast && typeof one === 'string')) return null;
    return `record ids, which look like rec0123456789AbCd, not ${typeof one === 'string' ? quoted(one) : kindOf(one)}.`;
  });
};

const collaborator: Check = (value, _field, { typecast }) => {
  if (typecast && typeof value === 'string') return null;
  if (!isObject(value)) return `{ "id" } or { "email" } of a person, not ${kindOf(value)}.`;
  const known = value.id ?? value.email;
  return typeof known === 'string' && known !== ''
    ? null
    : '{ "id" } or { "email" } of a person; both are missing.';
};

const collaborators: Check = (value, field, options) => {
  if (options.typecast && typeof value === 'string') return null;
  if (!Array.isArray(value)) return `a list of people, not ${kindOf(value)}.`;
  return firstFault(value, (one) =>
    typeof one === 'string' && one !== '' ? null : collaborator(one, field, options),
  );
};

const attachments: Check = (value, _field, { isNew }) => {
  if (!Array.isArray(value)) return `a list of attachments, not ${kindOf(value)}.`;
  return firstFault(value, (one) => attachmentFault(one, isNew));
};

function attachmentFault(value: unknown, isNew: boolean): string | null {
  if (!isObject(value))
    return `attachments as { "url", "filename" } to add or { "id" } to keep, not ${kindOf(value)}.`;
  const { id, url, filename } = value;
  if (id !== undefined) {
    if (isNew)
      return '{ "id" } only where an attachment is to be kept, and a new record has none. Give its "url".';
    return typeof id === 'string' && id !== '' ? null : 'the "id" of an attachment as a text.';
  }
  if (typeof url !== 'string' || url.length > maxUrlCharacters || !isWebAddress(url))
    return 'for each attachment a "url" that begins with http:// or https:// and that anybody may read.';
  return filename === undefined || typeof filename === 'string'
    ? null
    : 'the "filename" of an attachment as a text.';
}

function isWebAddress(url: string): boolean {
  return URL.canParse(url) && ['http:', 'https:'].includes(new URL(url).protocol);
}

const barcode: Check = (value, _field, { typecast }) => {
  if (typecast && typeof value === 'string') return null;
  if (!isObject(value)) return `{ "text", "type" }, not ${kindOf(value)}.`;
  const { text: read, type } = value;
  return typeof read === 'string' && (type === undefined || typeof type === 'string')
    ? null
    : '{ "text", "type" }, both as texts; "type" may be left out.';
};

/** By the upstream's word for the type of the field. */
const checks = new Map<string, Check>(
  Object.entries({
    singleLineText: text,
    multilineText: text,
    richText: text,
    email: text,
    url: text,
    phoneNumber: text,
    number,
    percent: number,
    currency: number,
    duration: number,
    rating,
    checkbox,
    date,
    dateTime: date,
    singleSelect,
    multipleSelects,
    multipleRecordLinks: links,
    singleCollaborator: collaborator,
    multipleCollaborators: collaborators,
    multipleAttachments: attachments,
    barcode,
  }),
);

function firstFault(list: readonly unknown[], faultOf: (item: unknown) => string | null): string | null {
  for (const item of list) {
    const fault = faultOf(item);
    if (fault !== null) return fault;
  }
  return null;
}

function kindOf(value: unknown): string {
  if (value === null) return 'null';
  if (value === undefined) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  return (
    { string: 'a text', number: 'a number', boolean: 'true or false' }[typeof value as string] ?? 'an object'
  );
}

function hint(value: unknown): string {
  return typeof value === 'string' ? ' With "typecast" the service converts it where it can.' : '';
}

function quoted(value: string): string {
  return JSON.stringify(value.length > maxQuoted ? `${value.slice(0, maxQuoted)}…` : value);
}
