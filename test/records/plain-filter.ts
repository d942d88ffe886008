import type { FilterValue, RecordFilter } from '../../src/records/filters/filter.ts';
import type { CaseField, Cells } from './filter-cases.ts';

type Compare = (value: FilterValue) => boolean;

/** What a filter means, said with nothing but JavaScript on the cells as the record API shows them. */
export function passes(filter: RecordFilter, fields: readonly CaseField[], cells: Cells): boolean {
  const inside = (part: RecordFilter) => passes(part, fields, cells);
  if (filter.and) return filter.and.every(inside);
  if (filter.or) return filter.or.some(inside);
  if (filter.not) return !inside(filter.not);
  const field = fields.find(({ id, name }) => id === filter.field || name === filter.field)!;
  return Object.entries(filter).every(([operator, value]) =>
    holds(operator, value, filter, field, cells[field.id]),
  );
}

function holds(
  operator: string,
  value: unknown,
  filter: RecordFilter,
  field: CaseField,
  cell: unknown,
): boolean {
  const failed = typeof cell === 'object' && cell !== null && 'error' in cell;
  const read = failed ? undefined : cell;
  // A checkbox that failed is not checked; what failed otherwise equals nothing.
  const equal: Compare = (one) =>
    typeof one === 'boolean'
      ? (read === true) === one
      : !failed && comparison(field, read, one, filter) === 0;
  const ordered = (accepts: (order: number) => boolean) => {
    const order = comparison(field, read, value as FilterValue, filter);
    return order !== undefined && accepts(order);
  };
  const list = Array.isArray(read) ? (read as unknown[]) : [];
  switch (operator) {
    case 'eq':
      return equal(value as FilterValue);
    case 'ne':
      return !equal(value as FilterValue);
    case 'in':
      return (value as FilterValue[]).some(equal);
    case 'notIn':
      return !(value as FilterValue[]).some(equal);
    case 'gt':
    case 'after':
      return ordered((order) => order > 0);
    case 'gte':
      return ordered((order) => order >= 0);
    case 'lt':
    case 'before':
      return ordered((order) => order < 0);
    case 'lte':
      return ordered((order) => order <= 0);
    case 'contains':
      return cased(textOf(read), filter).includes(cased(value as string, filter));
    case 'startsWith':
      return cased(textOf(read), filter).startsWith(cased(value as string, filter));
    case 'isEmpty':
      return (cell === undefined) === value;
    case 'hasAny':
      return (value as string[]).some((one) => list.includes(one));
    case 'hasAll':
      return (value as string[]).every((one) => list.includes(one));
    case 'hasNone':
      return !(value as string[]).some((one) => list.includes(one));
    case 'hasRecord':
      return list.includes(value);
    case 'hasAnyRecord':
      return (value as string[]).some((one) => list.includes(one));
    default:
      return true;
  }
}

/** The order of a cell and a value; undefined where there is none, as with an empty cell. */
function comparison(
  field: CaseField,
  cell: unknown,
  value: FilterValue,
  filter: RecordFilter,
): number | undefined {
  if (typeof value === 'boolean') return undefined;
  if (typeof value === 'number') {
    const number =
      typeof cell === 'object' && cell ? Number((cell as { specialValue: string }).specialValue) : cell;
    if (typeof number !== 'number' || Number.isNaN(number)) return undefined;
    return number === value ? 0 : number < value ? -1 : 1;
  }
  const { type = field.type } = (field.options?.result ?? {}) as { type?: string };
  if (['date', 'dateTime', 'createdTime', 'lastModifiedTime'].includes(type)) {
    if (typeof cell !== 'string') return undefined;
    const isDay = /^\d{4}-\d\d-\d\d$/.test(value);
    const [have, want] =
      cell.length === 10
        ? [cell, value]
        : isDay
          ? [dayShownIn(filter.timeZone!, cell), value]
          : [String(Date.parse(cell)), String(Date.parse(value))];
    return have === want ? 0 : have < want ? -1 : 1;
  }
  return cased(textOf(cell), filter) === cased(value, filter) ? 0 : undefined;
}

function dayShownIn(timeZone: string, instant: string): string {
  return new Intl.DateTimeFormat('en-CA', {
    timeZone,
    year: 'numeric',
    month: '2-digit',
    day: '2-digit',
  }).format(Date.parse(instant));
}

function textOf(cell: unknown): string {
  if (typeof cell === 'string') return cell;
  return typeof cell === 'object' && cell !== null && 'name' in cell ? String(cell.name) : '';
}

function cased(text: string, { ignoreCase }: RecordFilter): string {
  return ignoreCase ? text.toLowerCase() : text;
}
