import type { FieldSchema } from '../../bases/table-schema.ts';

/** What is asked of one cell. Texts are compared by their characters, or by those of their lower case. */
export type CellTest =
  | { kind: 'empty'; field: FieldSchema }
  | { kind: 'checked'; field: FieldSchema }
  | {
      kind: 'text';
      field: FieldSchema;
      match: 'is' | 'contains' | 'starts';
      text: string;
      ignoreCase: boolean;
    }
  | { kind: 'number'; field: FieldSchema; operator: '=' | '<' | '<=' | '>' | '>='; number: number }
  /** An instant, from the first inclusive to the second exclusive, in milliseconds since the epoch; null is open. */
  | { kind: 'within'; field: FieldSchema; from: number | null; to: number | null }
  /** Among the choices of the cell. */
  | { kind: 'choice'; field: FieldSchema; name: string }
  /** Linked to at least one of these records. */
  | { kind: 'linked'; field: FieldSchema; recordIds: readonly string[] };

/**
 * A filter that has been held against a table: every field is one of its own, every value of the right type. A test is
 * true or false of any record, and `not` turns it round: an empty cell, and one whose computation failed, passes no test
 * but the ones for empty and unchecked cells.
 */
export type RecordTest =
  CellTest | { kind: 'all' | 'any'; parts: readonly RecordTest[] } | { kind: 'not'; part: RecordTest };

/** The texts that cells are compared with. */
export function textsOf(test: RecordTest): string[] {
  switch (test.kind) {
    case 'all':
    case 'any':
      return test.parts.flatMap(textsOf);
    case 'not':
      return textsOf(test.part);
    case 'text':
      return [test.text];
    case 'choice':
      return [test.name];
    default:
      return [];
  }
}

/** The same text for tests that mean the same, and no other. */
export function testKey(test: RecordTest): string {
  return JSON.stringify(test, (key, value: unknown) => (key === 'field' ? (value as FieldSchema).id : value));
}
