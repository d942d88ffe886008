import type { ChangeEntry } from '../../changes/log-entry.ts';
import type { Cells, KnownNews } from '../values/row-writes.ts';
import type { Step } from './record-merge.ts';

/** What an entry, or the record as it was read, says. */
export function stepsOf(one: KnownNews, linked: ReadonlySet<string>): Step[] {
  const { entries, cells } = one;
  if (entries.length === 0) return cells === null ? [{ kind: 'deleted' }] : [{ kind: 'read', cells }];
  const told = linked.has(one.recordId) ? entries.slice(1) : entries;
  let before = one.base ?? {};
  const steps = told.map((entry): Step => {
    if (entry.kind === 'deleted') {
      before = {};
      return { kind: 'deleted' };
    }
    const after = entry.cells ?? withFields(before, entry);
    before = after;
    const previous = entry.fields.filter((field) => 'previous' in field);
    return {
      kind: 'changed',
      cells: after,
      changed: entry.fields.map(({ id }) => id),
      previous: Object.fromEntries(previous.map((field) => [field.id, field.previous])),
    };
  });
  // Read because the log did not tell all of it.
  if (cells !== null && steps.length > 0 && entries.at(-1)?.cells == null) {
    const last = steps.at(-1);
    if (last?.kind === 'changed') last.cells = cells;
  }
  if (cells === null && steps.at(-1)?.kind !== 'deleted') steps.push({ kind: 'deleted' });
  return steps;
}

function withFields(before: Cells, { fields }: ChangeEntry): Cells {
  return { ...before, ...Object.fromEntries(fields.map(({ id, current }) => [id, current])) };
}
