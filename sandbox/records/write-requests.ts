import { ApiError, invalidRequest } from '../api-error.ts';

export interface RecordInput {
  /** Always there for updates; for upserts only where the caller named the record. */
  id?: string;
  fields: Record<string, unknown>;
}

export interface WriteRequest {
  records: RecordInput[];
  /** True for the form with one bare record, whose answer is one bare record. */
  single: boolean;
  typecast: boolean;
  byFieldId: boolean;
  /** Names or ids of the fields that tell records apart; only with performUpsert. */
  fieldsToMergeOn?: string[];
}

/** `{records:[{fields}]}` or `{fields}`. Throws 422. */
export function readCreate(body: unknown, maxRecords: number): WriteRequest {
  const given = objectBody(body);
  if (given['records'] === undefined) return readSingle(given);
  const message = `You must provide an array of up to ${maxRecords} record objects, each with a "fields" object for cell values.`;
  const records = recordList(given['records'], maxRecords, message);
  return { records, single: false, ...commonKeys(given) };
}

/** `{fields}` of a write to one record. Throws 422. */
export function readSingle(body: unknown): WriteRequest {
  const given = objectBody(body);
  const { fields } = given;
  if (fields === undefined) {
    throw new ApiError(
      422,
      'INVALID_REQUEST_MISSING_FIELDS',
      'Could not find field "fields" in the request body',
    );
  }
  if (!isObject(fields)) throw invalidRequest();
  return { records: [{ fields }], single: true, ...commonKeys(given) };
}

/** `{records:[{id,fields}], performUpsert?}`. Throws 422. */
export function readUpdate(body: unknown, maxRecords: number): WriteRequest {
  const given = objectBody(body);
  const fieldsToMergeOn = mergeFields(given['performUpsert']);
  const message = `You must provide an array of up to ${maxRecords} record objects, each with an "id" ID field and a "fields" object for cell values.`;
  const records = recordList(given['records'], maxRecords, message);
  if (fieldsToMergeOn === undefined && records.some(({ id }) => id === undefined))
    throw invalidRecords(message);
  const ids = records.flatMap(({ id }) => id ?? []);
  if (new Set(ids).size < ids.length) throw sameRecordTwice();
  return { records, single: false, ...commonKeys(given), ...(fieldsToMergeOn && { fieldsToMergeOn }) };
}

/** `records[]=rec1&records[]=rec2` of a batch delete, each id once. Throws 422. */
export function readDelete(query: URLSearchParams, maxRecords: number): string[] {
  const ids = new Set<string>();
  for (const [key, value] of query) if (/^records(\[\d*\])?$/.test(key)) ids.add(value);
  if (ids.size === 0 || ids.size > maxRecords) {
    throw invalidRecords(`You must provide an array of up to ${maxRecords} record IDs.`);
  }
  return [...ids];
}

export function invalidRecords(message: string): ApiError {
  return new ApiError(422, 'INVALID_RECORDS', message);
}

export function sameRecordTwice(): ApiError {
  return invalidRecords('You cannot update the same record multiple times in a single request.');
}

function commonKeys(given: Record<string, unknown>): Pick<WriteRequest, 'typecast' | 'byFieldId'> {
  return { typecast: boolean(given['typecast']), byFieldId: boolean(given['returnFieldsByFieldId']) };
}

function recordList(value: unknown, maxRecords: number, message: string): RecordInput[] {
  if (!Array.isArray(value) || value.length === 0 || value.length > maxRecords) throw invalidRecords(message);
  return value.map((item: unknown) => {
    if (!isObject(item) || !isObject(item['fields'])) throw invalidRecords(message);
    const { id, fields } = item;
    if (id === undefined) return { fields };
    if (typeof id !== 'string') throw invalidRecords(message);
    return { id, fields };
  });
}

/** One to three fields; undefined without performUpsert. */
function mergeFields(value: unknown): string[] | undefined {
  if (value === undefined || value === null) return undefined;
  const list = isObject(value) ? value['fieldsToMergeOn'] : undefined;
  if (!Array.isArray(list) || list.length < 1 || list.length > 3) throw invalidRequest();
  if (!list.every((item) => typeof item === 'string')) throw invalidRequest();
  return list;
}

function objectBody(body: unknown): Record<string, unknown> {
  if (body === undefined) return {};
  if (!isObject(body)) throw invalidRequest();
  return body;
}

function boolean(value: unknown): boolean {
  if (value === undefined || value === null) return false;
  if (typeof value !== 'boolean') throw invalidRequest();
  return value;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
