import { cpus } from 'node:os';
import { canPin } from './cores.ts';
import type { Round } from './load.ts';

/** What was measured of one server in one scenario. */
export interface Line {
  label: string;
  requestsPerSecond: number;
  p50: number;
  p99: number;
  /** Share of its core that the server used; null where the system does not tell. */
  serverShare: number | null;
  /** Processor time that the server spent per request, in microseconds: hardly touched by other work on the machine. */
  cpuMicros: number | null;
  loadShare: number;
}

/** @param cpuSeconds processor time of the server in all rounds together; null where the system does not tell */
export function lineOf(label: string, rounds: Round[], cpuSeconds: number | null): Line {
  const latencies = rounds.flatMap((round) => round.latencies).sort((a, b) => a - b);
  const seconds = rounds.reduce((sum, round) => sum + round.latencies.length / round.requestsPerSecond, 0);
  return {
    label,
    requestsPerSecond: median(rounds.map((round) => round.requestsPerSecond)),
    p50: quantile(latencies, 0.5),
    p99: quantile(latencies, 0.99),
    serverShare: cpuSeconds === null ? null : cpuSeconds / seconds,
    cpuMicros: cpuSeconds === null ? null : (cpuSeconds / latencies.length) * 1e6,
    loadShare: median(rounds.map((round) => round.loadShare)),
  };
}

/** One row per server, with its speed next to each other's. */
export function table(lines: Line[]): string {
  const others = lines.map(({ label }) => label);
  const head = [
    '',
    'req/s',
    'p50 ms',
    'p99 ms',
    'own core',
    'CPU µs',
    ...others.map((label) => `÷ ${label}`),
  ];
  const rows = lines.map((line) => [
    line.label,
    thousands(line.requestsPerSecond),
    line.p50.toFixed(2),
    line.p99.toFixed(2),
    line.serverShare === null ? '–' : `${Math.round(100 * line.serverShare)} %`,
    line.cpuMicros === null ? '–' : thousands(line.cpuMicros),
    ...lines.map((other) =>
      other === line ? '·' : ratio(line, other).toFixed(ratio(line, other) < 1 ? 3 : 2),
    ),
  ]);
  return columns(head, rows);
}

/** A table in Markdown: the first column to the left, figures to the right. */
export function columns(head: string[], rows: string[][]): string {
  const widths = head.map((_, column) => Math.max(...[head, ...rows].map((row) => row[column]!.length)));
  const text = (row: string[]): string =>
    `| ${row.map((cell, column) => (column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!))).join(' | ')} |`;
  const rule = `|${widths.map((width, column) => (column === 0 ? '-'.repeat(width + 2) : `${'-'.repeat(width + 1)}:`)).join('|')}|`;
  return [text(head), rule, ...rows.map(text)].join('\n');
}

/** The processor time that each line of ours takes per request, next to the others'. */
export function cpuReport(lines: Line[]): string {
  return lines
    .filter(({ label }) => label.startsWith('ours'))
    .map((ours) => {
      const others = lines.filter(({ label }) => !label.startsWith('ours'));
      const ratios = others.map(({ label, cpuMicros }) =>
        ours.cpuMicros === null || cpuMicros === null
          ? []
          : `${(ours.cpuMicros / cpuMicros).toFixed(2)} × ${label}`,
      );
      return ratios.length === 0 ? '' : `CPU per request, ${ours.label}: ${ratios.flat().join(', ')}.`;
    })
    .join('\n');
}

interface Bar {
  scenario: string;
  against: string;
  atLeast: number;
}

const bars: Bar[] = [
  { scenario: 'hello', against: 'bare node:http', atLeast: 0.12 },
  { scenario: 'hello', against: 'Apollo Server 5', atLeast: 1 },
  { scenario: 'page100', against: 'Apollo Server 5', atLeast: 2 },
  { scenario: 'page100-json', against: 'Apollo Server 5', atLeast: 2 },
];

/** The bars of the scenarios that ran, and whether they hold. */
export function barReport(measured: Map<string, Line[]>): string {
  const lines = bars.flatMap(({ scenario, against, atLeast }) => {
    const ours = measured.get(scenario)?.find(({ label }) => label === 'ours');
    const other = measured.get(scenario)?.find(({ label }) => label === against);
    if (!ours || !other) return [];
    const reached = ratio(ours, other);
    const verdict = reached >= atLeast ? 'holds' : 'DOES NOT HOLD';
    return [`- ${scenario}: ours ≥ ${atLeast} × ${against}: ${reached.toFixed(3)} ×, ${verdict}`];
  });
  return lines.length === 0 ? 'No bar belongs to what ran.' : lines.join('\n');
}

export function machine(): string {
  const [first] = cpus();
  const pinned = canPin
    ? 'Each server has core 0 for itself while it is measured; load, PostgreSQL and sandbox have the rest.'
    : 'taskset is missing or there is but one core: nothing is pinned, so expect more noise.';
  return `Node ${process.version}, ${cpus().length} cores (${first?.model.trim() ?? 'unknown'}), ${process.platform} ${process.arch}. ${pinned}`;
}

function ratio(line: Line, other: Line): number {
  return line.requestsPerSecond / other.requestsPerSecond;
}

export function median(values: number[]): number {
  return quantile(
    values.toSorted((a, b) => a - b),
    0.5,
  );
}

export function quantile(sorted: number[], at: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(at * sorted.length))] ?? Number.NaN;
}

/** In whole numbers, with separators. */
export function thousands(value: number): string {
  return Math.round(value).toLocaleString('en-GB');
}
