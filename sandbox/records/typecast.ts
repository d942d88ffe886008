import type { FieldDoc } from '../bases/documents.ts';
import { looseDate } from './date-input.ts';
import { plainText } from './rollup.ts';

/**
 * What `typecast` makes of a value before it is checked: strings become what the field holds where they can be read as
 * that, other values become text for text fields. What can't be converted is handed on as it is, to be refused.
 */
export function typecastValue(field: FieldDoc, value: unknown): unknown {
  switch (field.type) {
    case 'singleLineText':
    case 'multilineText':
    case 'richText':
    case 'email':
    case 'url':
    case 'phoneNumber':
      return typeof value === 'number' || typeof value === 'boolean' || Array.isArray(value)
        ? plainText(value)
        : value;
    case 'number':
    case 'currency':
      return looseNumber(value);
    case 'percent':
      return typeof value === 'string' && value.trim().endsWith('%')
        ? looseHundredth(value)
        : looseNumber(value);
    case 'rating': {
      const number = looseNumber(value);
      return typeof number === 'number' ? Math.round(number) : number;
    }
    case 'duration':
      return looseDuration(value);
    case 'checkbox':
      return looseBoolean(value);
    case 'date':
    case 'dateTime':
      return typeof value === 'string' ? (looseDate(value, field.options ?? {}) ?? value) : value;
    case 'singleSelect':
      return Array.isArray(value) ? value[0] : typeof value === 'number' ? String(value) : value;
    case 'multipleSelects':
    case 'multipleRecordLinks':
    case 'multipleCollaborators':
      return looseList(value);
    case 'singleCollaborator':
      return typeof value === 'string' ? personOf(value) : value;
    case 'barcode':
      return typeof value === 'string' ? { text: value } : value;
    default:
      return value;
  }
}

/** `ada@example.com` is an e-mail address, anything else an id. */
function personOf(text: string): { id: string } | { email: string } {
  return text.includes('@') ? { email: text } : { id: text };
}

function looseNumber(value: unknown): unknown {
  if (typeof value !== 'string') return value;
  if (value.trim() === '') return null;
  const digits = value.replace(/[\s,$€£¥]/g, '');
  return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(digits) ? Number(digits) : value;
}

function looseHundredth(text: string): unknown {
  const number = looseNumber(text.trim().slice(0, -1));
  return typeof number === 'number' ? number / 100 : text;
}

/** `h:mm` or `h:mm:ss(.S)`, or a number of seconds. */
function looseDuration(value: unknown): unknown {
  const [, hours, minutes, seconds = '0'] =
    (typeof value === 'string' && /^(\d+):(\d{1,2})(?::(\d{1,2}(?:\.\d+)?))?$/.exec(value.trim())) || [];
  if (hours === undefined) return looseNumber(value);
  return Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds);
}

function looseBoolean(value: unknown): unknown {
  if (typeof value === 'number') return value !== 0;
  if (typeof value !== 'string') return value;
  if (/^(true|checked|yes|1)$/i.test(value.trim())) return true;
  return /^(false|unchecked|no|0|)$/i.test(value.trim()) ? false : value;
}

function looseList(value: unknown): unknown {
  if (typeof value !== 'string') return value;
  return value
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
}
