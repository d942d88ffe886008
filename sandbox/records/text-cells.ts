import type { FieldDoc, FieldOptions, RecordDoc, TableDoc } from '../bases/documents.ts';
import type { Cells } from './cells.ts';
import { plainText } from './rollup.ts';
import { wallClock } from './zoned-time.ts';

/** For whom cells are written out when `cellFormat` is `string`. */
export interface TextFormat {
  /** IANA name; used where the field says `client`. */
  timeZone: string;
  /** Such as `en-gb`. */
  userLocale: string;
}

/** A cell as a person reads it; undefined when empty. */
export function textCell(
  cells: Cells,
  table: TableDoc,
  record: RecordDoc,
  field: FieldDoc,
  format: TextFormat,
): string | undefined {
  if (field.type === 'multipleRecordLinks') return cells.linkedNames(record, field)?.join(', ');
  const value = cells.read(table, record, field);
  if (value === undefined) return undefined;
  return valueText(field.type, field.options ?? {}, value, format);
}

function valueText(
  type: FieldDoc['type'],
  options: FieldOptions,
  value: unknown,
  format: TextFormat,
): string {
  if (options.result && type !== 'createdTime' && type !== 'lastModifiedTime') {
    const { type: inner, options: innerOptions = {} } = options.result;
    const values = Array.isArray(value) ? value : [value];
    return values.map((one) => valueText(inner, innerOptions, one, format)).join(', ');
  }
  switch (type) {
    case 'number':
      return typeof value === 'number' ? value.toFixed(options.precision ?? 0) : plainText(value);
    case 'currency':
      return typeof value === 'number' ? currencyText(value, options) : plainText(value);
    case 'percent':
      return typeof value === 'number'
        ? `${(value * 100).toFixed(options.precision ?? 0)}%`
        : plainText(value);
    case 'duration':
      return typeof value === 'number'
        ? durationText(value, options.durationFormat ?? 'h:mm')
        : plainText(value);
    case 'checkbox':
      return 'checked';
    case 'date':
      return typeof value === 'string' ? dateText(value, options, format) : plainText(value);
    case 'dateTime':
      return typeof value === 'string' ? dateTimeText(value, options, format) : plainText(value);
    case 'createdTime':
    case 'lastModifiedTime':
      return valueText(options.result?.type ?? 'dateTime', options.result?.options ?? {}, value, format);
    case 'multipleAttachments':
      return (value as { filename: string; url: string }[])
        .map((one) => `${one.filename} (${one.url})`)
        .join(', ');
    case 'button':
      return (value as { label: string }).label;
    default:
      return plainText(value);
  }
}

function currencyText(value: number, options: FieldOptions): string {
  const amount = Math.abs(value).toFixed(options.precision ?? 2);
  const [whole = '0', fraction] = amount.split('.');
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, ',');
  return `${value < 0 ? '-' : ''}${options.symbol ?? '$'}${grouped}${fraction === undefined ? '' : `.${fraction}`}`;
}

function durationText(seconds: number, durationFormat: string): string {
  const sign = seconds < 0 ? '-' : '';
  const rest = Math.abs(seconds);
  const two = (count: number): string => String(Math.floor(count)).padStart(2, '0');
  const minutes = `${sign}${Math.floor(rest / 3600)}:${two((rest % 3600) / 60)}`;
  if (durationFormat === 'h:mm') return minutes;
  const decimals = durationFormat.split('.')[1]?.length ?? 0;
  if (decimals === 0) return `${minutes}:${two(rest % 60)}`;
  return `${minutes}:${(rest % 60).toFixed(decimals).padStart(decimals + 3, '0')}`;
}

function dateText(value: string, options: FieldOptions, format: TextFormat): string {
  const [year = '', month = '', day = ''] = value.slice(0, 10).split('-');
  switch (options.dateFormat?.name ?? 'iso') {
    case 'us':
      return `${Number(month)}/${Number(day)}/${year}`;
    case 'european':
      return `${Number(day)}/${Number(month)}/${year}`;
    case 'friendly':
      return localDate(value, format, { year: 'numeric', month: 'long', day: 'numeric' });
    case 'local':
      return localDate(value, format, { year: 'numeric', month: 'numeric', day: 'numeric' });
    default:
      return `${year}-${month}-${day}`;
  }
}

function localDate(value: string, format: TextFormat, style: Intl.DateTimeFormatOptions): string {
  const date = new Date(`${value.slice(0, 10)}T00:00:00.000Z`);
  return date.toLocaleDateString(format.userLocale, { ...style, timeZone: 'UTC' });
}

function dateTimeText(value: string, options: FieldOptions, format: TextFormat): string {
  const zone =
    options.timeZone === undefined || options.timeZone === 'client' ? format.timeZone : options.timeZone;
  const shown = wallClock(Date.parse(value), zone);
  const two = (count: number): string => String(count).padStart(2, '0');
  const date = dateText(
    `${String(shown.year).padStart(4, '0')}-${two(shown.month)}-${two(shown.day)}`,
    options,
    format,
  );
  if (options.timeFormat?.name === '24hour') return `${date} ${two(shown.hour)}:${two(shown.minute)}`;
  const hour = shown.hour % 12 === 0 ? 12 : shown.hour % 12;
  return `${date} ${hour}:${two(shown.minute)}${shown.hour < 12 ? 'am' : 'pm'}`;
}
