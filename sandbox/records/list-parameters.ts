import { invalidRequest } from '../api-error.ts';
import { isTimeZone } from './zoned-time.ts';
import type { TextFormat } from './text-cells.ts';

export const MAX_PAGE_SIZE = 100;
/** Longest filter formula; a URL could not hold it anyway. */
const MAX_FORMULA_CHARACTERS = 100_000;
const MAX_SORTS = 100;
const MAX_FIELDS = 1_000;

export interface SortParameter {
  field: string;
  direction: 'asc' | 'desc';
}

/** What a list call asks for, whichever way it was spelled. */
export interface ListParameters {
  pageSize: number;
  maxRecords?: number;
  offset?: string;
  view?: string;
  sort: SortParameter[];
  filterByFormula?: string;
  fields?: string[];
  text?: TextFormat;
  byFieldId: boolean;
  commentCount: boolean;
  dateDependencyMetadata: boolean;
}

/** Reads the query of `GET /v0/{base}/{table}`; names it does not know are left alone. */
export function parametersFromQuery(query: URLSearchParams): ListParameters {
  const body: Record<string, unknown> = {};
  const sorts: Record<string, string>[] = [];
  for (const [key, value] of query) {
    const sort = /^sort\[(\d{1,3})\]\[(field|direction)\]$/.exec(key);
    if (sort) {
      const index = Number(sort[1]);
      if (index >= MAX_SORTS) throw invalidRequest();
      sorts[index] = { ...sorts[index], [sort[2] ?? '']: value };
      continue;
    }
    const list = /^(fields|recordMetadata)(?:\[\d*\])?$/.exec(key)?.[1];
    if (list !== undefined) body[list] = [...((body[list] as string[] | undefined) ?? []), value];
    else body[key] = value;
  }
  // `limit` is what the deprecated list() of the official client still sends; null is spelled as nothing.
  for (const name of ['pageSize', 'maxRecords', 'limit']) {
    const value = body[name];
    if (value === '') delete body[name];
    else if (typeof value === 'string') body[name] = /^-?\d+$/.test(value) ? Number(value) : value;
  }
  for (const name of ['returnFieldsByFieldId', 'includeDateDependencyMetadata']) {
    if (body[name] !== undefined) body[name] = queryBoolean(body[name]);
  }
  for (const name of ['offset', 'view', 'filterByFormula', 'cellFormat'])
    if (body[name] === '') delete body[name];
  if (sorts.length > 0) body['sort'] = Object.values(sorts);
  return readParameters({ ...body, pageSize: body['pageSize'] ?? body['limit'] }, query);
}

/**
 * Reads the body of `POST /v0/{base}/{table}/listRecords`. `timeZone` and `userLocale` count in the query only; other keys
 * that are not known are ignored, because the official client leaves some in.
 */
export function parametersFromBody(body: unknown, query: URLSearchParams): ListParameters {
  if (body === undefined) return readParameters({}, query);
  if (typeof body !== 'object' || body === null || Array.isArray(body)) throw invalidRequest();
  const given = body as Record<string, unknown>;
  if (given['offset'] === '') return readParameters({ ...given, offset: undefined }, query);
  return readParameters(given, query);
}

function readParameters(given: Record<string, unknown>, query: URLSearchParams): ListParameters {
  const parameters: ListParameters = {
    pageSize: wholeNumber(given['pageSize'], MAX_PAGE_SIZE) ?? MAX_PAGE_SIZE,
    maxRecords: wholeNumber(given['maxRecords'], Number.MAX_SAFE_INTEGER),
    offset: text(given['offset']),
    view: text(given['view']),
    sort: sortList(given['sort']),
    filterByFormula: text(given['filterByFormula']),
    fields: textList(given['fields']),
    ...readShape(given, query),
    commentCount: recordMetadata(given['recordMetadata']),
  };
  if ((parameters.filterByFormula?.length ?? 0) > MAX_FORMULA_CHARACTERS) throw invalidRequest();
  return parameters;
}

/** The parameters that list and get share. */
export function readShape(
  given: Record<string, unknown>,
  query: URLSearchParams,
): Pick<ListParameters, 'text' | 'byFieldId' | 'dateDependencyMetadata'> {
  return {
    text: textFormat(text(given['cellFormat']) ?? 'json', query),
    byFieldId: boolean(given['returnFieldsByFieldId']),
    dateDependencyMetadata: boolean(given['includeDateDependencyMetadata']),
  };
}

/** `true` and `false`, or `1` and `0` as pyairtable sends them. */
export function queryBoolean(value: unknown): boolean {
  if (value === 'true' || value === '1') return true;
  if (value === 'false' || value === '0' || value === '') return false;
  throw invalidRequest();
}

function textFormat(cellFormat: string, query: URLSearchParams): TextFormat | undefined {
  const timeZone = query.get('timeZone') ?? '';
  const userLocale = query.get('userLocale') ?? '';
  if (cellFormat === 'json') return undefined;
  if (cellFormat !== 'string') throw invalidRequest();
  if (timeZone === '' || userLocale === '') {
    throw invalidRequest('Invalid request: cellFormat "string" needs both timeZone and userLocale.');
  }
  if (!isTimeZone(timeZone) || !isLocale(userLocale)) throw invalidRequest();
  return { timeZone, userLocale };
}

function isLocale(locale: string): boolean {
  try {
    return Intl.getCanonicalLocales(locale).length === 1;
  } catch {
    return false;
  }
}

function wholeNumber(value: unknown, max: number): number | undefined {
  if (value === undefined) return undefined;
  if (!Number.isSafeInteger(value) || (value as number) < 1 || (value as number) > max)
    throw invalidRequest();
  return value as number;
}

function text(value: unknown): string | undefined {
  if (value === undefined || value === '') return undefined;
  if (typeof value !== 'string') throw invalidRequest();
  return value;
}

function boolean(value: unknown): boolean {
  if (value === undefined) return false;
  if (typeof value !== 'boolean') throw invalidRequest();
  return value;
}

function textList(value: unknown): string[] | undefined {
  if (value === undefined) return undefined;
  if (!Array.isArray(value) || value.length > MAX_FIELDS) throw invalidRequest();
  if (!value.every((item) => typeof item === 'string')) throw invalidRequest();
  return value;
}

function recordMetadata(value: unknown): boolean {
  const names = textList(value) ?? [];
  if (names.some((name) => name !== 'commentCount')) throw invalidRequest();
  return names.length > 0;
}

function sortList(value: unknown): SortParameter[] {
  if (value === undefined) return [];
  if (!Array.isArray(value) || value.length > MAX_SORTS) throw invalidRequest();
  return value.map((item: unknown) => {
    if (typeof item !== 'object' || item === null) throw invalidRequest();
    const { field, direction = 'asc' } = item as { field?: unknown; direction?: unknown };
    if (typeof field !== 'string' || (direction !== 'asc' && direction !== 'desc')) throw invalidRequest();
    return { field, direction };
  });
}
