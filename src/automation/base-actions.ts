import { baseCursor, sliceBases } from '../bases/base-slice.ts';
import { defaultPageLength } from '../graphql/list-slice.ts';
import { action } from './action.ts';
import { after, baseId, first } from './settings.ts';

/** The bases that the connection was granted and the caller may see. */
export const listBases = action({ first, after }, async (config, { records, connectionId }) => {
  const granted = await records.schemas.bases(connectionId);
  const visible = granted.filter((base) => records.caller.sees(connectionId, base.id));
  const { bases, hasNextPage } = sliceBases(visible, config.first ?? defaultPageLength, config.after ?? null);
  const last = bases.at(-1);
  return {
    bases: bases.map(({ id, name, permissionLevel }) => ({ id, name, permissionLevel })),
    pageInfo: { hasNextPage, endCursor: last ? baseCursor(last) : null },
  };
});

/** The tables of a base with their fields and views. */
export const listTables = action({ baseId }, async (config, { records, connectionId }) => {
  records.caller.requireBase(connectionId, config.baseId);
  const base = await records.schemas.load(connectionId, config.baseId);
  return {
    tables: base.tables.map((table) => ({
      id: table.id,
      name: table.name,
      description: table.description,
      primaryFieldId: table.primaryFieldId,
      fields: table.fields.map(({ id, name, type, description, options, computed, linkedTableId }) => ({
        id,
        name,
        type,
        description,
        options,
        isComputed: computed,
        linkedTableId,
      })),
      views: table.views.map(({ id, name, type }) => ({ id, name, type })),
    })),
  };
});
