import { isObject } from '../../calendly/cell-values.ts';
import type { CellTest, RecordTest } from './record-test.ts';

/** Cells by field id, in the format of the record endpoints. */
type Cells = Readonly<Record<string, unknown>>;

/**
 * Whether a record passes a test, decided from its cells alone: what the formula of the same test finds upstream, for
 * all fields but computed ones. Never throws: a cell of another type than its field's, such as one from before the
 * field's type was changed, passes no test.
 * @param isComplete whether a cell that is missing is empty, and not merely unknown
 * @returns null when it depends on what is not known
 */
export function passesTest(test: RecordTest, cells: Cells, isComplete: boolean): boolean | null {
  switch (test.kind) {
    case 'all':
      return every(test.parts, (part) => passesTest(part, cells, isComplete));
    case 'any':
      return negated(every(test.parts, (part) => negated(passesTest(part, cells, isComplete))));
    case 'not':
      return negated(passesTest(test.part, cells, isComplete));
    default: {
      const cell = cells[test.field.id];
      return cell === undefined && !isComplete ? null : passesCell(test, cell);
    }
  }
}

/** One part that fails decides, whatever is not known of the others. */
function every(parts: readonly RecordTest[], passes: (part: RecordTest) => boolean | null): boolean | null {
  let all: boolean | null = true;
  for (const part of parts) {
    const passed = passes(part);
    if (passed === false) return false;
    if (passed === null) all = null;
  }
  return all;
}

function negated(passed: boolean | null): boolean | null {
  return passed === null ? null : !passed;
}

function passesCell(test: CellTest, cell: unknown): boolean | null {
  switch (test.kind) {
    case 'empty':
      return isEmpty(cell);
    case 'checked':
      return cell === true;
    case 'text':
      return passesText(test, cell);
    case 'number':
      return typeof cell === 'number' && holds(cell, test.operator, test.number);
    case 'within': {
      const at = typeof cell === 'string' ? Date.parse(cell) : Number.NaN;
      return (
        !Number.isNaN(at) && (test.from === null || at >= test.from) && (test.to === null || at < test.to)
      );
    }
    case 'choice':
      return Array.isArray(cell) && cell.some((item) => nameOf(item) === test.name);
    case 'linked':
      return Array.isArray(cell) && cell.some((id) => test.recordIds.includes(id as string));
  }
}

function isEmpty(cell: unknown): boolean {
  return (
    cell === undefined ||
    cell === null ||
    cell === '' ||
    cell === false ||
    (Array.isArray(cell) && cell.length === 0)
  );
}

/** People are told with their names, but need not be. */
function passesText(test: Extract<CellTest, { kind: 'text' }>, cell: unknown): boolean | null {
  const told = isEmpty(cell) ? '' : nameOf(cell);
  if (told === null) return isObject(cell) ? null : false;
  const [have, want] = test.ignoreCase ? [told.toLowerCase(), test.text.toLowerCase()] : [told, test.text];
  if (test.match === 'is') return have === want;
  return test.match === 'contains' ? have.includes(want) : have.startsWith(want);
}

/** A text itself, and what a choice or a person is called. */
function nameOf(item: unknown): string | null {
  if (typeof item === 'string') return item;
  return isObject(item) && typeof item.name === 'string' ? item.name : null;
}

function holds(have: number, operator: '=' | '<' | '<=' | '>' | '>=', want: number): boolean {
  switch (operator) {
    case '=':
      return have === want;
    case '<':
      return have < want;
    case '<=':
      return have <= want;
    case '>':
      return have > want;
    case '>=':
      return have >= want;
  }
}
