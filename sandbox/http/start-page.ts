import type { BaseDoc, TableDoc } from '../bases/documents.ts';
import type { SandboxContext } from '../context.ts';
import { listClients } from '../oauth/clients.ts';
import { escapeHtml, htmlPage } from './html.ts';
import type { Router } from './router.ts';

/** `GET /`: what this server is, which data and integrations it has, and where everything is. Add it last, it lists the routes. */
export function startPage(router: Router, context: SandboxContext): void {
  router.add('GET', '/', {
    endpoint: 'startPage',
    handler: () =>
      htmlPage({
        title: 'Calendly sandbox',
        wide: true,
        body: `<h1>The record API, on your machine</h1>
<p>An imitation of the upstream for development and tests: OAuth, bases, records, formulas, webhooks, limits and faults.</p>
${bases(context)}${integrations()}${people(context)}${routes(router)}`,
      }),
  });
}

function bases({ state }: SandboxContext): string {
  const tables = [...state.collection<TableDoc>('tables').values()];
  const rows = [...state.collection<BaseDoc>('bases').values()].map((base) => {
    const names = tables
      .filter((table) => table.baseId === base.id)
      .map((table) => `${escapeHtml(table.name)} <code>${escapeHtml(table.id)}</code>`);
    return row(`${escapeHtml(base.name)}<br><code>${escapeHtml(base.id)}</code>`, names.join(', '));
  });
  return section('Bases', rows);
}

/** The secrets themselves are in the README and at `/_control/issued`, not here. */
function integrations(): string {
  const rows = listClients().map((client) =>
    row(
      `<code>${escapeHtml(client.id)}</code>`,
      `${escapeHtml(client.name)}, ${client.secret === null ? 'without' : 'with'} a secret, any loopback redirect`,
    ),
  );
  return section('OAuth integrations', rows);
}

function people({ users }: SandboxContext): string {
  return section(
    'People',
    users.list().map((user) => row(escapeHtml(user.name), `<code>${escapeHtml(user.email)}</code>`)),
  );
}

function routes(router: Router): string {
  const rows = router
    .list()
    .map(({ method, pattern, endpoint }) => ({ path: `${method} ${pattern}`, endpoint, pattern }))
    .sort((a, b) => (a.pattern < b.pattern ? -1 : 1))
    .map(({ path, endpoint }) => row(`<code>${escapeHtml(path)}</code>`, escapeHtml(meaning(endpoint))));
  return `<details open><summary>Routes</summary><table>${rows.join('')}</table></details>`;
}

/** Control routes are named by their paths well enough. */
function meaning(endpoint: string): string {
  return endpoint === 'control' ? 'control, for callers on this machine' : endpoint;
}

function section(title: string, rows: string[]): string {
  return `<section><h2>${title}</h2><table>${rows.join('')}</table></section>`;
}

function row(first: string, second: string): string {
  return `<tr><td>${first}</td><td>${second}</td></tr>`;
}
