/**
 * Webhook payloads spell some cells in another way (V2) than the record endpoints (V1), without naming the field's type.
 * The prefixes of the ids inside tell them apart: `rec` a linked record, `sel` a choice, `usr` and `ugp` a collaborator,
 * and a lookup is grouped by linked record.
 */
export function toRecordCell(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(toRecordCell);
  if (!isObject(value)) return value;
  if (Array.isArray(value.linkedRecordIds) && isObject(value.valuesByLinkedRecordId)) {
    return flattenLookup(value.linkedRecordIds, value.valuesByLinkedRecordId);
  }
  const { id, name } = value;
  if (typeof id !== 'string') return value;
  if (id.startsWith('rec') && Object.keys(value).every((key) => key === 'id' || key === 'name')) return id;
  if (id.startsWith('sel') && typeof name === 'string') return name;
  if (id.startsWith('usr') || id.startsWith('ugp')) return toCollaborator(value);
  return value;
}

/** In the order of the links. A looked-up cell that is itself a list is spread, as the record endpoints do. */
function flattenLookup(linkedRecordIds: unknown[], valuesById: Record<string, unknown>): unknown[] {
  return linkedRecordIds.flatMap((id) => {
    const values = typeof id === 'string' && Object.hasOwn(valuesById, id) ? valuesById[id] : [];
    const list: unknown[] = Array.isArray(values) ? values : [values];
    return list.map(toRecordCell).flat();
  });
}

function toCollaborator(value: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    ['id', 'email', 'name'].filter((key) => key in value).map((key) => [key, value[key]]),
  );
}

const listTypes = new Set([
  'multipleSelects',
  'multipleCollaborators',
  'multipleRecordLinks',
  'multipleAttachments',
  'multipleLookupValues',
]);

/** What an empty cell means: the upstream leaves it out of every answer. */
export function emptyCell(fieldType: string): null | false | [] {
  if (fieldType === 'checkbox') return false;
  return listTypes.has(fieldType) ? [] : null;
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
