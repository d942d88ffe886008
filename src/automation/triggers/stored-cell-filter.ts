import type { CellFilter } from '../../changes/change-filter.ts';
import type { Position } from '../../changes/position.ts';
import { passesTest } from '../../records/filters/cell-match.ts';
import type { RecordTest } from '../../records/filters/record-test.ts';

/** A filter that was held against its table, as JSON. Cells are tested by the ids of fields, so that is all it has of them. */
export interface StoredCellFilter {
  fields: [id: string, field: { name: string; type: string }][];
  checkedAt: Position;
  /** The key of its test. */
  test: string;
}

export function storeCellFilter({ fields, checkedAt, toJSON }: CellFilter): StoredCellFilter {
  return { fields: [...fields], checkedAt, test: toJSON() };
}

export function readCellFilter({ fields, checkedAt, test: key }: StoredCellFilter): CellFilter {
  const test = JSON.parse(key, (name, value: unknown) =>
    name === 'field' && typeof value === 'string' ? { id: value } : value,
  ) as RecordTest;
  return {
    fields: new Map(fields),
    checkedAt,
    passes: (cells, isComplete) => passesTest(test, cells, isComplete),
    toJSON: () => key,
  };
}
