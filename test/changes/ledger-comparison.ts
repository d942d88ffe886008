/** One entry of the sandbox's ledger of changes. */
export interface LedgerChange {
  sequence: number;
  baseId: string;
  tableId: string;
  recordId: string;
  kind: 'created' | 'updated' | 'destroyed';
  transaction: number;
  /** All cells after the change by field id. */
  fields: Record<string, unknown>;
}

/** One change as a subscriber was told it. */
export interface ToldChange {
  cursor: string;
  kind: 'CREATED' | 'UPDATED' | 'DELETED';
  tableId: string;
  recordId: string;
  /** The cells that changed. */
  fields: { id: string; current: unknown }[];
}

/**
 * The texts that writers put into cells begin so, each with a number of its own: by them two changes of one record are
 * told apart.
 */
export const markPrefix = 'Change ';

/**
 * How what a subscriber was told differs from what happened in a base; empty when it does not. Transactions have to come
 * in their order; how the changes of one transaction are ordered is nobody's business.
 */
export function differences(ledger: readonly LedgerChange[], told: readonly ToldChange[]): string[] {
  const happened = linesOf(ledger);
  const heard = told.map(lineOf);
  const found = [
    ...missing(happened.flat(), heard, 'missing'),
    ...missing(heard, happened.flat(), 'too many'),
  ];
  const seen = new Set<string>();
  for (const { cursor } of told) {
    if (seen.has(cursor)) found.push(`told twice: the change with the cursor ${cursor}`);
    seen.add(cursor);
  }
  if (found.length > 0) return found;
  let at = 0;
  for (const transaction of happened) {
    const part = heard.slice(at, at + transaction.length);
    if (part.sort().join('\n') !== transaction.sort().join('\n'))
      return [`out of order, change ${at + 1} of ${heard.length}: ${transaction.join(', ')}`];
    at += transaction.length;
  }
  return [];
}

/** By transaction, in order. */
function linesOf(ledger: readonly LedgerChange[]): string[][] {
  const marks = new Map<string, string>();
  const transactions = new Map<number, string[]>();
  for (const { kind, tableId, recordId, transaction, fields } of ledger) {
    const mark = markIn(Object.values(fields));
    const isNew = mark !== '' && marks.get(recordId) !== mark;
    if (isNew) marks.set(recordId, mark);
    const line = `${kind === 'destroyed' ? 'deleted' : kind} ${tableId} ${recordId} ${isNew ? mark : ''}`;
    transactions.set(transaction, [...(transactions.get(transaction) ?? []), line]);
  }
  return [...transactions.values()];
}

function lineOf({ kind, tableId, recordId, fields }: ToldChange): string {
  return `${kind.toLowerCase()} ${tableId} ${recordId} ${markIn(fields.map(({ current }) => current))}`;
}

function markIn(cells: readonly unknown[]): string {
  return cells.find((cell): cell is string => typeof cell === 'string' && cell.startsWith(markPrefix)) ?? '';
}

/** The lines that `there` has more often than `here`. */
function missing(there: readonly string[], here: readonly string[], word: string): string[] {
  const counts = new Map<string, number>();
  for (const line of here) counts.set(line, (counts.get(line) ?? 0) + 1);
  return there.flatMap((line) => {
    const count = counts.get(line) ?? 0;
    counts.set(line, count - 1);
    return count > 0 ? [] : [`${word}: ${line}`];
  });
}
