import { relative } from 'node:path';
import { styleText } from 'node:util';

export interface Summary {
  url: string;
  explorerUrl: string;
  /** Null when the upstream is not the bundled sandbox. */
  sandboxUrl: string | null;
  upstreamUrl: string;
  /** Null when everything lies elsewhere. */
  data: { folder: string; clusterFolder: string | null; bytes: number } | null;
  /** Null when the key came from the environment. */
  adminKeyFile: string | null;
  tookMs: number;
  colour: boolean;
}

/** What a person needs after a start, and nothing else. */
export function renderSummary(summary: Summary): string {
  const paint = (style: Parameters<typeof styleText>[0], text: string): string =>
    summary.colour ? styleText(style, text) : text;
  const rows: [label: string, value: string, hint?: string][] = [
    [
      'Explore',
      paint(['cyan', 'underline'], summary.explorerUrl),
      'signed in already; the link works once, for ten minutes',
    ],
    ['Endpoint', paint('cyan', `${summary.url}/graphql`), 'HTTP, SSE and WebSocket'],
  ];
  if (summary.adminKeyFile)
    rows.push(['API key', shortPath(summary.adminKeyFile), 'send it as Authorization: Bearer …']);
  if (summary.sandboxUrl)
    rows.push(['Sandbox', paint('cyan', summary.sandboxUrl), 'stands in for the upstream']);
  else rows.push(['Upstream', paint('cyan', summary.upstreamUrl)]);
  if (summary.data) {
    rows.push([
      'Data',
      `${shortPath(summary.data.folder)} (${megabytes(summary.data.bytes)})`,
      'kept for the next start; delete it to begin anew',
    ]);
    if (summary.data.clusterFolder)
      rows.push(['', summary.data.clusterFolder, 'the database, where its system user can reach it']);
  }
  rows.push(['Stop', 'Ctrl-C']);

  const lines = rows.flatMap(([label, value, hint]) => {
    const line = `  ${paint('bold', label.padEnd(10))}${value}`;
    return hint ? [line, `  ${' '.repeat(10)}${paint('dim', hint)}`] : [line];
  });
  const title = `  ${paint(['green', 'bold'], 'Calendly connections are ready')} ${paint('dim', `after ${(summary.tookMs / 1_000).toFixed(1)} s`)}`;
  return `\n${title}\n\n${lines.join('\n')}\n\n`;
}

function megabytes(bytes: number): string {
  return `${Math.max(1, Math.round(bytes / 1_000_000))} MB`;
}

function shortPath(path: string): string {
  const fromHere = relative('', path);
  return fromHere === '' || fromHere.startsWith('..') ? path : fromHere;
}
