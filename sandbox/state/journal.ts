import { closeSync, existsSync, mkdirSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';

/** One change of a collection, as it stands in the journal. */
export type JournalOperation =
  ['put', collection: string, id: string, doc: unknown] | ['delete', string, string] | ['clear', string];

/** Operations per line when a whole state is written out, so that no line grows without bound. */
const OPERATIONS_PER_LINE = 500;

/**
 * The file behind a State. Each line is a JSON array of operations that took effect together. A line is handed to the
 * kernel in one write before the caller goes on, so killing the process loses nothing that was answered; at worst the
 * last line is torn, and then none of its operations count.
 */
export class Journal {
  private descriptor: number | undefined;

  constructor(private readonly path: string) {
    mkdirSync(dirname(path), { recursive: true });
  }

  /** All operations of the complete lines, oldest first. Ends at the first line that is not whole. */
  *read(): IterableIterator<JournalOperation> {
    if (!existsSync(this.path)) return;
    const lines = readFileSync(this.path, 'utf8').split('\n');
    // What stands after the last line feed was never finished.
    for (const line of lines.slice(0, -1)) {
      const operations = parseLine(line);
      if (operations === undefined) return;
      yield* operations;
    }
  }

  /** Replaces the file by one that holds only `operations`; atomic by rename. */
  rewrite(operations: Iterable<JournalOperation>): void {
    this.close();
    const draft = `${this.path}.new`;
    const descriptor = openSync(draft, 'w', 0o600);
    try {
      let line: JournalOperation[] = [];
      for (const operation of operations) {
        line.push(operation);
        if (line.length < OPERATIONS_PER_LINE) continue;
        writeSync(descriptor, `${JSON.stringify(line)}\n`);
        line = [];
      }
      if (line.length > 0) writeSync(descriptor, `${JSON.stringify(line)}\n`);
    } finally {
      closeSync(descriptor);
    }
    renameSync(draft, this.path);
    this.descriptor = openSync(this.path, 'a', 0o600);
  }

  append(operations: JournalOperation[]): void {
    if (this.descriptor === undefined) this.descriptor = openSync(this.path, 'a', 0o600);
    const bytes = Buffer.from(`${JSON.stringify(operations)}\n`);
    let written = 0;
    while (written < bytes.length) written += writeSync(this.descriptor, bytes, written);
  }

  close(): void {
    if (this.descriptor !== undefined) closeSync(this.descriptor);
    this.descriptor = undefined;
  }
}

function parseLine(line: string): JournalOperation[] | undefined {
  try {
    const parsed: unknown = JSON.parse(line);
    return Array.isArray(parsed) ? (parsed as JournalOperation[]) : undefined;
  } catch {
    return undefined;
  }
}
