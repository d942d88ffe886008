/** What a listing of records can be asked for. Fields are ids or names. */
export interface ListRecordsParams {
  /** Only these cells; all by default. */
  fields?: string[];
  filterByFormula?: string;
  sort?: { field: string; direction?: 'asc' | 'desc' }[];
  /** Id or name; restricts to the view's records and, without `sort`, uses its order. */
  view?: string;
  /** 1 to 100, the default. */
  pageSize?: number;
  /** From the page before, with all other parameters unchanged. */
  offset?: string | null;
  /** Cap on the total of all pages. */
  maxRecords?: number;
}

/** The upstream refuses URLs of 16,000 characters and more; the host name and a margin are left out of ours. */
export const maxUrlCharacters = 15_000;

/** A GET while the URL stays short enough, else the POST form of the same listing. Cells are always asked for by field id. */
export function listRecordsRequest(
  tablePath: string,
  params: ListRecordsParams,
): { method: 'GET' | 'POST'; path: string; body?: unknown } {
  const path = `${tablePath}?${queryOf(params)}`;
  if (path.length <= maxUrlCharacters) return { method: 'GET', path };
  return { method: 'POST', path: `${tablePath}/listRecords`, body: bodyOf(params) };
}

function queryOf(params: ListRecordsParams): string {
  const query = new URLSearchParams();
  query.set('returnFieldsByFieldId', 'true');
  if (params.pageSize !== undefined) query.set('pageSize', String(params.pageSize));
  if (params.maxRecords !== undefined) query.set('maxRecords', String(params.maxRecords));
  if (params.view) query.set('view', params.view);
  if (params.filterByFormula) query.set('filterByFormula', params.filterByFormula);
  for (const [index, { field, direction }] of (params.sort ?? []).entries()) {
    query.set(`sort[${index}][field]`, field);
    query.set(`sort[${index}][direction]`, direction ?? 'asc');
  }
  for (const field of params.fields ?? []) query.append('fields[]', field);
  if (params.offset) query.set('offset', params.offset);
  return query.toString();
}

/** Absent values have to be left out: the POST form refuses null where the query takes an empty value. */
function bodyOf(params: ListRecordsParams): Record<string, unknown> {
  return {
    returnFieldsByFieldId: true,
    ...(params.pageSize === undefined ? {} : { pageSize: params.pageSize }),
    ...(params.maxRecords === undefined ? {} : { maxRecords: params.maxRecords }),
    ...(params.view ? { view: params.view } : {}),
    ...(params.filterByFormula ? { filterByFormula: params.filterByFormula } : {}),
    ...(params.sort?.length
      ? { sort: params.sort.map(({ field, direction }) => ({ field, direction: direction ?? 'asc' })) }
      : {}),
    ...(params.fields?.length ? { fields: params.fields } : {}),
    ...(params.offset ? { offset: params.offset } : {}),
  };
}
