import { createHash } from 'node:crypto';
import { html, type Reply } from './reply.ts';

export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

const style = `
:root{color-scheme:light dark;--text:#1c2434;--soft:#56607a;--line:#dfe4ee;--card:#fff;--back:#f4f6fa;--accent:#006bff;--good:#0a7f4f;--bad:#b3261e}
@media (prefers-color-scheme:dark){:root{--text:#e8ecf6;--soft:#9aa6bf;--line:#2b3446;--card:#181e2a;--back:#10141c;--accent:#5b9dff;--good:#4cc790;--bad:#ff8a80}}
*{box-sizing:border-box}body{margin:0;min-height:100vh;display:grid;place-items:center;padding:1.5rem;font:16px/1.55 system-ui,-apple-system,"Segoe UI",sans-serif;color:var(--text);background:var(--back)}
main{width:100%;max-width:34rem;padding:2rem;background:var(--card);border:1px solid var(--line);border-radius:14px}
h1{margin:0 0 .75rem;font-size:1.4rem;line-height:1.3}h2{margin:1.5rem 0 .4rem;font-size:1rem}p{margin:.5rem 0}.soft{color:var(--soft)}
.mark{display:inline-grid;place-items:center;width:2.5rem;height:2.5rem;margin-bottom:1rem;border-radius:50%;font-size:1.3rem;font-weight:700;color:#fff;background:var(--accent)}.good{background:var(--good)}.bad{background:var(--bad)}
a.button{display:inline-block;margin-top:1rem;padding:.6rem 1.1rem;border-radius:9px;color:#fff;background:#006bff;text-decoration:none}a{color:var(--accent)}
dl{display:grid;grid-template-columns:auto 1fr;gap:.35rem 1.25rem;margin:1rem 0}dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}code{font-size:.9em;overflow-wrap:anywhere}ul{margin:.5rem 0;padding-left:1.25rem}
`;

const policy = [
  "default-src 'none'",
  `style-src 'sha256-${createHash('sha256').update(style).digest('base64')}'`,
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

export interface PageContent {
  title: string;
  mark?: { symbol: string; tone: 'good' | 'bad' | 'plain' };
  /** Trusted HTML: everything from outside has gone through escapeHtml. */
  body: string;
}

/** A page of ours: no script, nothing from elsewhere, nothing kept by caches, no trace in the referrer. */
export function page(
  status: number,
  content: PageContent,
  headers: Record<string, string | string[]> = {},
): Reply {
  const mark = content.mark
    ? `<div class="mark ${content.mark.tone}" aria-hidden="true">${content.mark.symbol}</div>`
    : '';
  const text = `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1"><title>${escapeHtml(content.title)}</title><style>${style}</style></head><body><main>${mark}<h1>${escapeHtml(content.title)}</h1>${content.body}</main></body></html>`;
  return html(status, text, {
    'Content-Security-Policy': policy,
    'Cache-Control': 'no-store',
    'Referrer-Policy': 'no-referrer',
    ...headers,
  });
}
