import { invalidRequest } from '../api-error.ts';
import type { ChangeSource } from '../changes/transaction.ts';

export const DATA_TYPES = ['tableData', 'tableFields', 'tableMetadata'] as const;
export type DataType = (typeof DATA_TYPES)[number];
export const CHANGE_TYPES = ['add', 'remove', 'update'] as const;
export type ChangeType = (typeof CHANGE_TYPES)[number];
const SOURCES: readonly ChangeSource[] = [
  'client',
  'publicApi',
  'formSubmission',
  'formPageSubmission',
  'automation',
  'system',
  'sync',
  'anonymousUser',
  'unknown',
];

/** What a webhook is about, as its owner wrote it; only ids, never names. */
export interface Specification {
  options: {
    filters: Filters;
    includes?: Includes;
  };
}

export interface Filters {
  dataTypes: DataType[];
  /** A table or a view; absent: the whole base. */
  recordChangeScope?: string;
  changeTypes?: ChangeType[];
  fromSources?: ChangeSource[];
  sourceOptions?: { formSubmission?: { viewId: string }; formPageSubmission?: { pageId: string } };
  watchDataInFieldIds?: string[];
  watchSchemasOfFieldIds?: string[];
}

export interface Includes {
  includeCellValuesInFieldIds?: string[] | 'all';
  includePreviousCellValues?: boolean;
  includePreviousFieldDefinitions?: boolean;
}

export function hasType({ options }: Specification, type: DataType): boolean {
  return options.filters.dataTypes.includes(type);
}

/** Without changeTypes every kind of change is wanted. */
export function wants({ options }: Specification, type: ChangeType): boolean {
  return options.filters.changeTypes?.includes(type) ?? true;
}

/** Most ids in one list of a specification. */
const MAX_IDS = 500;

/** Reads a specification. Throws ApiError 422 that names the place of the fault. */
export function readSpecification(input: unknown): Specification {
  const { options } = objectOf('specification', input, ['options']);
  const { filters, includes } = objectOf('specification.options', options, ['filters', 'includes']);
  const read: Specification = { options: { filters: readFilters(filters) } };
  if (includes !== undefined) read.options.includes = readIncludes(includes);
  return read;
}

function readFilters(input: unknown): Filters {
  const at = 'specification.options.filters';
  const value = objectOf(at, input, [
    'dataTypes',
    'recordChangeScope',
    'changeTypes',
    'fromSources',
    'sourceOptions',
    'watchDataInFieldIds',
    'watchSchemasOfFieldIds',
  ]);
  const filters: Filters = { dataTypes: choices(`${at}.dataTypes`, value.dataTypes, DATA_TYPES) };
  if (value.recordChangeScope !== undefined) {
    filters.recordChangeScope = idOf(`${at}.recordChangeScope`, value.recordChangeScope, ['tbl', 'viw']);
  }
  if (value.changeTypes !== undefined) {
    filters.changeTypes = choices(`${at}.changeTypes`, value.changeTypes, CHANGE_TYPES);
  }
  if (value.fromSources !== undefined) {
    filters.fromSources = choices(`${at}.fromSources`, value.fromSources, SOURCES);
  }
  if (value.sourceOptions !== undefined) {
    filters.sourceOptions = readSourceOptions(`${at}.sourceOptions`, value.sourceOptions);
  }
  for (const name of ['watchDataInFieldIds', 'watchSchemasOfFieldIds'] as const) {
    if (value[name] !== undefined) filters[name] = fieldIds(`${at}.${name}`, value[name]);
  }
  return filters;
}

function readSourceOptions(at: string, input: unknown): NonNullable<Filters['sourceOptions']> {
  const { formSubmission, formPageSubmission } = objectOf(at, input, [
    'formSubmission',
    'formPageSubmission',
  ]);
  const options: NonNullable<Filters['sourceOptions']> = {};
  if (formSubmission !== undefined) {
    const { viewId } = objectOf(`${at}.formSubmission`, formSubmission, ['viewId']);
    options.formSubmission = { viewId: idOf(`${at}.formSubmission.viewId`, viewId, ['viw']) };
  }
  if (formPageSubmission !== undefined) {
    const { pageId } = objectOf(`${at}.formPageSubmission`, formPageSubmission, ['pageId']);
    options.formPageSubmission = { pageId: idOf(`${at}.formPageSubmission.pageId`, pageId, ['pbd']) };
  }
  return options;
}

function readIncludes(input: unknown): Includes {
  const at = 'specification.options.includes';
  const flags = ['includePreviousCellValues', 'includePreviousFieldDefinitions'] as const;
  const value = objectOf(at, input, ['includeCellValuesInFieldIds', ...flags]);
  const includes: Includes = {};
  const cells = value.includeCellValuesInFieldIds;
  if (cells !== undefined) {
    includes.includeCellValuesInFieldIds =
      cells === 'all' ? 'all' : fieldIds(`${at}.includeCellValuesInFieldIds`, cells);
  }
  for (const name of flags) {
    const flag = value[name];
    if (flag === undefined) continue;
    if (typeof flag !== 'boolean')
      throw invalidRequest(`Invalid request: ${at}.${name} must be true or false`);
    includes[name] = flag;
  }
  return includes;
}

function objectOf<Key extends string>(
  at: string,
  input: unknown,
  known: readonly Key[],
): Partial<Record<Key, unknown>> {
  if (typeof input !== 'object' || input === null || Array.isArray(input)) {
    throw invalidRequest(`Invalid request: ${at} must be an object`);
  }
  const stranger = Object.keys(input).find((key) => !(known as readonly string[]).includes(key));
  if (stranger !== undefined)
    throw invalidRequest(`Invalid request: ${at} has the unknown key "${stranger}"`);
  return input;
}

function choices<Choice extends string>(at: string, input: unknown, known: readonly Choice[]): Choice[] {
  const list = listOf(at, input);
  const read = list.map((item) => known.find((choice) => choice === item));
  if (list.length === 0 || read.includes(undefined)) {
    throw invalidRequest(`Invalid request: ${at} must be a list of ${known.join(', ')}`);
  }
  return [...new Set(read as Choice[])];
}

function fieldIds(at: string, input: unknown): string[] {
  return listOf(at, input).map((id) => idOf(at, id, ['fld']));
}

function listOf(at: string, input: unknown): unknown[] {
  if (!Array.isArray(input) || input.length > MAX_IDS) {
    throw invalidRequest(`Invalid request: ${at} must be a list of at most ${MAX_IDS} items`);
  }
  return input;
}

function idOf(at: string, input: unknown, prefixes: string[]): string {
  if (
    typeof input === 'string' &&
    prefixes.includes(input.slice(0, 3)) &&
    /^[0-9A-Za-z]{4,43}$/.test(input)
  ) {
    return input;
  }
  throw invalidRequest(`Invalid request: ${at} must hold an id that begins with ${prefixes.join(' or ')}`);
}
