import { createHash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { explorerTabs } from './explorer-tabs.ts';
import { html, type Reply } from './reply.ts';

const compress = promisify(gzip);

export function isExplorerRequest(request: IncomingMessage): boolean {
  return (
    request.method === 'GET' &&
    (request.headers.accept ?? '').includes('text/html') &&
    !(request.url ?? '').includes('query=')
  );
}

/**
 * The last step of the page, in place of the library's own. A one-use code in the address is exchanged for a key and
 * removed from the address bar at once; the key lives in this tab only. One that has ended is asked for again.
 */
const start = `
(async () => {
  const store = window.sessionStorage, slot = 'omnera-api-key';
  const code = new URLSearchParams(location.hash.slice(1)).get('code');
  let note = '';
  if (code) {
    history.replaceState(null, '', location.pathname + location.search);
    const answer = await fetch('/explorer/key', { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ code }) });
    const body = await answer.json();
    if (answer.ok) store.setItem(slot, body.key); else if (!store.getItem(slot)) note = body.error.message;
  }
  const root = document.querySelector('#root');
  const run = (key) => {
    root.replaceChildren();
    YogaGraphiQL.renderYogaGraphiQL(root, { ...OPTIONS, additionalHeaders: { authorization: 'Bearer ' + key } });
  };
  const isRefused = (key) => fetch('/graphql', { method: 'POST', headers: { 'content-type': 'application/json', authorization: 'Bearer ' + key }, body: '{"query":"{ __typename }"}' }).then(({ status }) => status === 401, () => false);
  const known = store.getItem(slot);
  if (known && !(await isRefused(known))) return run(known);
  if (known) { store.removeItem(slot); note = 'The key or token is no longer valid. Enter another one; it stays in this tab.'; }
  const form = document.createElement('form');
  form.className = 'key-form';
  const title = document.createElement('h1'); title.textContent = 'Calendly connections';
  const text = document.createElement('p'); text.textContent = note || 'Enter an API key, or a token of your identity provider, to explore the API. It stays in this tab.';
  const label = document.createElement('label'); label.textContent = 'API key or token';
  const input = document.createElement('input'); input.type = 'password'; input.autocomplete = 'off'; input.required = true; label.append(input);
  const button = document.createElement('button'); button.textContent = 'Open GraphiQL';
  form.append(title, text, label, button);
  form.addEventListener('submit', (event) => { event.preventDefault(); const key = input.value.trim(); if (key) { store.setItem(slot, key); run(key); } });
  root.append(form); input.focus();
})();`;

/**
 * The key form's looks, and one mend: GraphiQL's tabs jump away under the pointer when it goes down, so that a click
 * never reaches them. Kept in place they can be clicked, though not dragged.
 */
const ownStyle = `
.graphiql-tab{transform:none!important}
.key-form{max-width:26rem;margin:18vh auto 0;padding:2rem;font:16px/1.5 system-ui,sans-serif;color:#1c2434;background:#fff;border:1px solid #dfe4ee;border-radius:12px}
.key-form h1{font-size:1.25rem;margin:0 0 .5rem}.key-form p{margin:0 0 1rem;color:#56607a}
.key-form label{display:block;font-size:.875rem}.key-form input{display:block;width:100%;box-sizing:border-box;margin:.25rem 0 1rem;padding:.6rem;font:inherit;border:1px solid #b8c1d6;border-radius:8px}
.key-form button{padding:.6rem 1rem;font:inherit;color:#fff;background:#006bff;border:0;border-radius:8px;cursor:pointer}
@media (prefers-color-scheme:dark){body{background:#10141c}.key-form{color:#e8ecf6;background:#181e2a;border-color:#2b3446}.key-form p{color:#9aa6bf}.key-form input{color:inherit;background:#10141c;border-color:#3a4660}}`;

/** GraphiQL with everything in one page: no CDN, no other host. Made on the first request, kept compressed. */
export class ExplorerPage {
  #made: Promise<{ body: Buffer; policy: string; tag: string }> | null = null;

  async reply(request: IncomingMessage): Promise<Reply> {
    this.#made ??= make().catch((error: unknown) => {
      // As when the process had no file handle left: the next request may do better.
      this.#made = null;
      throw error;
    });
    const { body, policy, tag } = await this.#made;
    const headers = {
      'Content-Security-Policy': policy,
      'Cache-Control': 'private, no-cache',
      ETag: tag,
      Vary: 'Accept, Accept-Encoding',
    };
    if (request.headers['if-none-match'] === tag) return { status: 304, headers };
    return { ...html(200, '', { ...headers, 'Content-Encoding': 'gzip' }), body };
  }
}

async function make() {
  const { renderGraphiQL } = await import('@graphql-yoga/render-graphiql');
  const options = {
    title: 'Calendly connections',
    endpoint: '/graphql',
    subscriptionsProtocol: 'SSE',
    defaultQuery: explorerTabs[0],
    defaultTabs: explorerTabs.map((query) => ({ query })),
  };
  const page = (renderGraphiQL as (options: { title: string }) => string)({ title: options.title });
  const call = page.lastIndexOf('YogaGraphiQL.renderYogaGraphiQL(');
  const scriptEnd = page.indexOf('</script>', call);
  if (call === -1 || scriptEnd === -1) throw new Error('The GraphiQL page has an unknown form.');
  const text =
    `${page.slice(0, call)}${start.replace('OPTIONS', () => JSON.stringify(options))}${page.slice(scriptEnd)}`
      .replace('</style>', () => `${ownStyle}</style>`)
      .trim();
  const scriptStart = text.indexOf('<script>') + '<script>'.length;
  const script = text.slice(scriptStart, text.lastIndexOf('</script>'));
  const hash = createHash('sha256').update(script).digest('base64');
  return {
    body: await compress(text, { level: 6 }),
    tag: `"${createHash('sha256').update(text).digest('base64url').slice(0, 22)}"`,
    policy: [
      "default-src 'none'",
      `script-src 'sha256-${hash}'`,
      'worker-src blob:',
      "style-src 'unsafe-inline'",
      "img-src 'self' data:",
      'font-src data:',
      "connect-src 'self'",
      "base-uri 'none'",
      "form-action 'none'",
      "frame-ancestors 'none'",
    ].join('; '),
  };
}
