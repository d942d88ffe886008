/** The page that all servers answer: a hundred contacts with twelve cells of the common types. */
export const baseId = 'appABC123';
export const tableId = 'tblDEF456';
export const pageLength = 100;

/** Each cell: the field of the upstream, its name in the peers' schema, its type there, and how ours is asked for it. */
export const cells = [
  { field: 'Name', name: 'name', type: 'String', ours: 'text' },
  { field: 'Email', name: 'email', type: 'String', ours: 'text' },
  { field: 'Status', name: 'status', type: 'String', ours: 'text' },
  { field: 'Phone', name: 'phone', type: 'String', ours: 'text' },
  { field: 'Website', name: 'website', type: 'String', ours: 'text' },
  { field: 'Notes', name: 'notes', type: 'String', ours: 'text' },
  { field: 'Tags', name: 'tags', type: '[String!]!', ours: 'value' },
  { field: 'VIP', name: 'vip', type: 'Boolean!', ours: 'checked' },
  { field: 'Score', name: 'score', type: 'Float', ours: 'number' },
  { field: 'Rating', name: 'rating', type: 'Float', ours: 'number' },
  { field: 'Budget', name: 'budget', type: 'Float', ours: 'number' },
  { field: 'Birthday', name: 'birthday', type: 'String', ours: 'value' },
] as const;

export const fieldNames: string[] = cells.map(({ field }) => field);

/** A record as the upstream gives it when asked by field name: empty cells are missing. */
export interface WireContact {
  id: string;
  createdTime: string;
  fields: Record<string, unknown>;
}
export interface WirePageOfContacts {
  records: WireContact[];
}

/** The upstream's path for the page. @param formula makes the question one of its own; a number other than 0 is true. */
export function pagePath(formula: string | null): string {
  const query = new URLSearchParams({ pageSize: String(pageLength) });
  for (const field of fieldNames) query.append('fields[]', field);
  if (formula !== null) query.set('filterByFormula', formula);
  return `/v0/${baseId}/${tableId}?${query}`;
}

/** What an empty cell reads as: the upstream leaves it out. */
export function readCell(contact: WireContact, { field, type }: (typeof cells)[number]): unknown {
  const cell = contact.fields[field];
  if (cell !== undefined) return cell;
  if (type === 'Boolean!') return false;
  return type === '[String!]!' ? [] : null;
}

/** All cells in one JSON object, by the names of the fields. */
export function readFields(contact: WireContact, names: readonly string[]): Record<string, unknown> {
  const values: Record<string, unknown> = {};
  for (const name of names) {
    const cell = cells.find(({ field }) => field === name);
    if (cell) values[name] = readCell(contact, cell);
  }
  return values;
}
