import { invalidRequest } from '../api-error.ts';
import type { SandboxContext } from '../context.ts';
import type { SandboxRequest } from '../http/message.ts';
import type { Router } from '../http/router.ts';
import { Iterators } from '../records/iterators.ts';
import type { FieldDoc, TableDoc, ViewDoc } from './documents.ts';

/** Most bases on a page, as documented; the `basePageCap` limit may lower it. */
const MAX_BASES_PER_PAGE = 1_000;

/** The meta API: which bases there are, and what is in one. */
export function baseRoutes(router: Router, context: SandboxContext): void {
  const iterators = new Iterators(context.clock, context.ids, context.settings);
  router.add('GET', '/v0/meta/bases', {
    endpoint: 'listBases',
    scopes: ['schema.bases:read'],
    handler: (request) => ({ status: 200, json: listBases(context, iterators, request) }),
  });
  router.add('GET', '/v0/meta/bases/:baseId/tables', {
    endpoint: 'getBaseSchema',
    scopes: ['schema.bases:read'],
    baseRole: 'read',
    handler: ({ params, query }) => {
      const withVisibleFields = readInclude(query);
      const tables = context.bases
        .tables(params['baseId'] ?? '')
        .map((table) => showTable(table, withVisibleFields));
      return { status: 200, json: { tables } };
    },
  });
}

/** Only bases that the grant reaches and the user may at least see. */
function listBases(context: SandboxContext, iterators: Iterators, { grant, query }: SandboxRequest): unknown {
  const pageSize = Math.max(1, Math.min(MAX_BASES_PER_PAGE, context.settings.limits.basePageCap));
  const visible = context.bases
    .list()
    .filter(
      ({ id }) => context.grants.mayUse(grant, id) && context.users.roleIn(grant.userId, id) !== 'none',
    );
  const given = query.get('offset') ?? '';
  const ids = visible.map(({ id }) => id);
  const { page, offset } = given === '' ? iterators.open(ids, pageSize) : iterators.next(given, pageSize);
  const bases = visible
    .filter(({ id }) => page.includes(id))
    .map(({ id, name }) => ({ id, name, permissionLevel: context.users.roleIn(grant.userId, id) }));
  return offset === undefined ? { bases } : { bases, offset };
}

/** `include` accepts only `visibleFieldIds`. */
function readInclude(query: URLSearchParams): boolean {
  const values: string[] = [];
  for (const [key, value] of query) if (/^include(\[\d*\])?$/.test(key)) values.push(value);
  if (values.some((value) => value !== 'visibleFieldIds')) throw invalidRequest();
  return values.length > 0;
}

/** `description` and `options` are left out when there are none; a view's filter and sort are never told. */
function showTable(table: TableDoc, withVisibleFields: boolean): unknown {
  const { id, name, description, primaryFieldId } = table;
  return {
    id,
    name,
    ...(description ? { description } : {}),
    primaryFieldId,
    fields: table.fields.map(showField),
    views: table.views.map((view) => showView(table, view, withVisibleFields)),
  };
}

function showField({ id, name, type, description, options }: FieldDoc): unknown {
  return { id, name, type, ...(description ? { description } : {}), ...(options ? { options } : {}) };
}

function showView(
  table: TableDoc,
  { id, name, type, hiddenFieldIds = [] }: ViewDoc,
  withVisibleFields: boolean,
): unknown {
  if (!withVisibleFields || type !== 'grid') return { id, name, type };
  const visibleFieldIds = table.fields
    .map((field) => field.id)
    .filter((fieldId) => !hiddenFieldIds.includes(fieldId));
  return { id, name, type, visibleFieldIds };
}
