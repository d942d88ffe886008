import { createHash } from 'node:crypto';
import type { Reply } from './message.ts';

const ENTITIES: Record<string, string> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => ENTITIES[character] ?? character);
}

/** The one style sheet of all pages: readable on a phone, in light and dark. */
const STYLE = `
:root{color-scheme:light dark;--ground:#f3f5f9;--card:#fff;--ink:#172033;--soft:#5b6679;--line:#dfe4ec;--accent:#2457d6;--on-accent:#fff;--tint:#eef3ff;--bad:#b3261e}
@media (prefers-color-scheme:dark){:root{--ground:#0e131c;--card:#171e2b;--ink:#e9eef7;--soft:#a0acc0;--line:#2b3547;--accent:#86abff;--on-accent:#0b1530;--tint:#1d2a45;--bad:#ff9c93}}
*{box-sizing:border-box}
body{margin:0;min-height:100vh;display:grid;place-items:center;padding:20px 14px;background:var(--ground);color:var(--ink);font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{width:100%;max-width:30rem;background:var(--card);border:1px solid var(--line);border-radius:18px;padding:28px 26px;box-shadow:0 12px 40px rgb(15 25 50 / 8%)}
main.wide{max-width:52rem}
.brand{display:flex;align-items:center;gap:10px;font-weight:600;color:var(--soft);font-size:14px;margin-bottom:18px}
.mark{width:30px;height:30px;flex:none;border-radius:9px;background:var(--accent);color:var(--on-accent);display:grid;place-items:center;font-weight:700}
h1{font-size:22px;line-height:1.25;margin:0 0 6px;text-wrap:balance}
h2{font-size:14px;margin:0 0 8px}
p{margin:0 0 14px;color:var(--soft)}
fieldset,section{border:0;margin:0;padding:18px 0;border-top:1px solid var(--line);min-width:0}
legend{float:left;width:100%;font-weight:600;font-size:14px;margin-bottom:8px;padding:0}
legend+*{clear:both}
ul{list-style:none;margin:0;padding:0;display:grid;gap:10px}
li{display:grid;grid-template-columns:20px 1fr;gap:10px}
li::before{content:"✓";color:var(--accent);font-weight:700}
code{font:12.5px/1.4 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;color:var(--soft);overflow-wrap:anywhere}
.choice{display:flex;align-items:center;gap:12px;padding:10px 12px;border:1px solid var(--line);border-radius:11px;margin-bottom:8px;cursor:pointer}
.choice:has(:checked){border-color:var(--accent);background:var(--tint)}
.choice span{min-width:0}.choice b{display:block;font-weight:550}.choice code{display:block}
input[type=checkbox],input[type=radio]{width:19px;height:19px;accent-color:var(--accent);margin:0;flex:none}
.actions{display:flex;flex-wrap:wrap;gap:10px;padding-top:18px;border-top:1px solid var(--line)}
button{flex:1 1 8rem;font:inherit;font-weight:600;padding:12px 10px;white-space:nowrap;border-radius:11px;border:1px solid var(--line);background:transparent;color:inherit;cursor:pointer}
button.primary{background:var(--accent);border-color:var(--accent);color:var(--on-accent)}
button:hover{filter:brightness(1.08)}
:focus-visible{outline:3px solid var(--accent);outline-offset:2px}
.notice{color:var(--bad);font-weight:600}
.small{font-size:13px;margin:14px 0 0}
a{color:var(--accent)}
table{border-collapse:collapse;width:100%;font-size:14px}
td:first-child{width:42%}
td{padding:5px 12px 5px 0;vertical-align:top;border-bottom:1px solid var(--line);overflow-wrap:anywhere}
details{padding:14px 0;border-top:1px solid var(--line)}summary{cursor:pointer;font-weight:600;font-size:14px}
`;
const STYLE_HASH = createHash('sha256').update(STYLE).digest('base64');

export interface Page {
  title: string;
  /** HTML whose variable parts are escaped already. */
  body: string;
  status?: number;
  wide?: boolean;
  /** Where forms of the page may lead; `'none'` unless told. */
  formAction?: string;
}

/** A complete page without any script, that no other page may frame and no cache may keep. */
export function htmlPage({ title, body, status = 200, wide = false, formAction = "'none'" }: Page): Reply {
  return {
    status,
    contentType: 'text/html; charset=utf-8',
    headers: {
      'cache-control': 'no-store',
      'referrer-policy': 'no-referrer',
      'x-content-type-options': 'nosniff',
      'content-security-policy':
        `default-src 'none'; style-src 'sha256-${STYLE_HASH}'; form-action ${formAction}; ` +
        `frame-ancestors 'none'; base-uri 'none'`,
    },
    text:
      `<!doctype html>\n<html lang="en"><head><meta charset="utf-8">` +
      `<meta name="viewport" content="width=device-width, initial-scale=1"><title>${escapeHtml(title)}</title>` +
      `<style>${STYLE}</style></head><body><main${wide ? ' class="wide"' : ''}>` +
      `<div class="brand"><span class="mark" aria-hidden="true">C</span>Calendly sandbox</div>` +
      `${body}</main></body></html>\n`,
  };
}
