import { isObject } from './cell-values.ts';

/**
 * What of a payload is read. Keys that are not in it are the upstream's news: nothing fails of them, and `unreadParts`
 * finds them, so that they can be kept.
 */
export type Shape =
  | 'anything'
  | 'text'
  | 'number'
  | 'flag'
  | 'ids'
  /** An object with any keys, all of the same shape. */
  | { each: Shape }
  | { keys: Record<string, Shape> };

const cells: Shape = { keys: { cellValuesByFieldId: { each: 'anything' } } };
const created: Shape = { keys: { createdTime: 'text', cellValuesByFieldId: { each: 'anything' } } };
const beforeAndAfter: Shape = { keys: { current: { each: 'anything' }, previous: { each: 'anything' } } };
const fields: Shape = { each: { each: 'anything' } };

const records: Record<string, Shape> = {
  createdRecordsById: { each: created },
  changedRecordsById: { each: { keys: { current: cells, previous: cells, unchanged: cells } } },
  destroyedRecordIds: 'ids',
};

export const payloadShape: Shape = {
  keys: {
    timestamp: 'text',
    baseTransactionNumber: 'number',
    payloadFormat: 'text',
    error: 'flag',
    code: 'text',
    actionMetadata: {
      keys: {
        source: 'text',
        sourceMetadata: {
          keys: {
            user: {
              keys: {
                id: 'text',
                email: 'text',
                name: 'text',
                permissionLevel: 'text',
                profilePicUrl: 'text',
              },
            },
            viewId: 'text',
            pageId: 'text',
            automationId: 'text',
          },
        },
      },
    },
    changedTablesById: {
      each: {
        keys: {
          ...records,
          createdFieldsById: fields,
          changedFieldsById: { each: beforeAndAfter },
          destroyedFieldIds: 'ids',
          changedMetadata: beforeAndAfter,
          changedViewsById: { each: { keys: records } },
        },
      },
    },
    createdTablesById: {
      each: {
        keys: { metadata: { each: 'anything' }, fieldsById: fields, recordsById: { each: created } },
      },
    },
    destroyedTableIds: 'ids',
  },
};

/** What a shape passes over, at the places where it stands; undefined when everything is read. */
export function unreadParts(value: unknown, shape: Shape): unknown {
  if (value === undefined || value === null || shape === 'anything') return undefined;
  if (typeof shape === 'string') return isRead(value, shape) ? undefined : value;
  if (!isObject(value)) return value;
  const parts = Object.entries(value).flatMap(([key, inner]): [string, unknown][] => {
    const known = 'each' in shape ? shape.each : Object.hasOwn(shape.keys, key) && shape.keys[key];
    const part = known ? unreadParts(inner, known) : inner;
    return part === undefined ? [] : [[key, part]];
  });
  return parts.length === 0 ? undefined : Object.fromEntries(parts);
}

function isRead(value: unknown, shape: 'text' | 'number' | 'flag' | 'ids'): boolean {
  switch (shape) {
    case 'text':
      return typeof value === 'string';
    case 'number':
      return typeof value === 'number';
    case 'flag':
      return typeof value === 'boolean';
    case 'ids':
      return Array.isArray(value) && value.every((id) => typeof id === 'string');
  }
}
