import type { Route } from './reply.ts';
import { page } from './page.ts';

/** What a person sees who opens the server's address. Says nothing that needs a key. */
export const startPage: Route = () =>
  page(200, {
    title: 'Calendly connections',
    mark: { symbol: '⌁', tone: 'plain' },
    body: `<p class="soft">A GraphQL API for bases, tables and records: connections that stay authorised, queries with the fewest upstream calls, and changes as they happen.</p>
<a class="button" href="/graphql">Open GraphiQL</a>
<h2>What is here</h2>
<dl><dt>API</dt><dd><code>/graphql</code> (HTTP, server-sent events, WebSocket)</dd>
<dt>Health</dt><dd><a href="/health/live">/health/live</a>, <a href="/health/ready">/health/ready</a></dd>
<dt>Metrics</dt><dd><code>/metrics</code> (from this machine, or for admins)</dd></dl>
<p class="soft">Each request needs an API key: <code>Authorization: Bearer …</code>. <code>npm start</code> prints a GraphiQL link that is authorised already.</p>`,
  });
