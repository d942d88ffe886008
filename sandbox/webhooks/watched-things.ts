import type { Bases } from '../bases/bases.ts';
import type { TableDoc, ViewDoc } from '../bases/documents.ts';
import type { Filters } from './specification.ts';

export interface ScopedView {
  table: TableDoc;
  view: ViewDoc;
}

/**
 * The first thing a filter watches that the base does not have (any more): the scope's table or view, or a watched field.
 * Fields named only to have their values included are no concern, they are ignored when they go.
 */
export function missingThing(bases: Bases, baseId: string, filters: Filters): string | null {
  const tables = bases.tables(baseId);
  const scope = filters.recordChangeScope;
  if (scope?.startsWith('tbl') && !tables.some((table) => table.id === scope)) return scope;
  if (scope?.startsWith('viw') && !findView(bases, baseId, scope)) return scope;
  const fieldIds = new Set(tables.flatMap((table) => table.fields.map((field) => field.id)));
  const watched = [...(filters.watchDataInFieldIds ?? []), ...(filters.watchSchemasOfFieldIds ?? [])];
  return watched.find((fieldId) => !fieldIds.has(fieldId)) ?? null;
}

export function findView(bases: Bases, baseId: string, viewId: string): ScopedView | undefined {
  for (const table of bases.tables(baseId)) {
    const view = table.views.find((candidate) => candidate.id === viewId);
    if (view) return { table, view };
  }
  return undefined;
}
