import type { Pool } from 'pg';
import type { DataSource } from 'typeorm';
import type { PostgresDriver } from 'typeorm/driver/postgres/PostgresDriver.js';
import type { FieldSchema } from '../../bases/table-schema.ts';
import type { Operation } from '../../calendly/operation.ts';
import type { Clock } from '../../clock.ts';
import type { RecordTest } from '../filters/record-test.ts';
import { fieldsIn, unanswerable, type CopyQuestion } from './answerable.ts';
import { queryWithin, TookTooLong } from './bounded-statement.ts';
import { CopiedCells, type CopiedRow } from './copied-cells.ts';
import { lookupStatement, pageStatement, type CopyStatement, type CopyWanted } from './copy-statement.ts';
import { CopyTurns } from './copy-turns.ts';
import type { FieldShapes } from './field-shapes.ts';
import { KnownShapes, type Verdicts } from './known-shapes.ts';
import type { LiveReason } from './live-reason.ts';
import { foldedTexts, LowerCase } from './lower-case.ts';
import { PreparedNames } from './prepared-names.ts';
import { replacement } from './replaced-text.ts';
import { hasUnknownChoice, type CopyPlace, type SortField } from './sort-order.ts';

/** A record out of a copy, as the upstream's record endpoints would give it. */
export interface CopiedRecord {
  id: string;
  /** ISO 8601. */
  createdTime: string;
  fields: Record<string, unknown>;
}

/** What a copy answered. */
export interface CopiedRecords {
  /** The copy has everything that the upstream had at this time; milliseconds since the epoch. */
  asOf: number;
  records: CopiedRecord[];
  /** Ids of those of them whose texts may have been others: they have to be read from the upstream. */
  replaced: ReadonlySet<string>;
}

/** Why no copy has answered. */
export interface NotCopied {
  liveBecause: LiveReason;
  /** Whether it is the schema of the question that may be too old, and not the copy. */
  isDoubtful?: true;
}

interface CopyRow {
  feed_id: number;
  as_of: Date;
  shapes_key: string;
  /** Null where they are known. */
  field_shapes: FieldShapes | null;
  fits: boolean;
  fresh: boolean;
  /** JSON of `CopiedRow`s; null unless the copy fits and is fresh. */
  records: string | null;
}

/** How often a statement is sent again at most because it met a copy whose shapes were not known. */
const maxCopiesMet = 10;

/**
 * Reads records from the copies that syncs keep. A copy answers only if it gives what the upstream would: where that is
 * not certain, the answer says why, and the read goes live.
 */
export class RecordCopies {
  readonly #pool: Pool;
  readonly #clock: Clock;
  readonly #turns: CopyTurns;
  readonly #shapes = new KnownShapes();
  readonly #refresh: (feedId: number) => void;
  readonly #names = new PreparedNames();
  readonly #lowerCase: LowerCase;

  /** @param deps.refresh brings the log of a feed up to date in the background; called as often as a copy was too old */
  constructor(deps: { database: DataSource; clock: Clock; refresh: (feedId: number) => void }) {
    this.#pool = (deps.database.driver as PostgresDriver).master as Pool;
    this.#clock = deps.clock;
    this.#turns = new CopyTurns(deps);
    this.#refresh = deps.refresh;
    this.#lowerCase = new LowerCase((text, values) => deps.database.query(text, values));
  }

  /**
   * `limit` records behind a place. The caller's right to the base, and the connection's, must have been checked.
   * @throws AppError COPY_BUSY, DEADLINE_EXCEEDED
   */
  async list(
    wanted: CopyWanted,
    question: CopyQuestion,
    { after, limit }: { after: CopyPlace | null; limit: number },
    operation: Operation,
  ): Promise<CopiedRecords | NotCopied> {
    const { table, fields, tests, sort } = question;
    const liveBecause = unanswerable(question);
    if (liveBecause) return { liveBecause };
    if (!(await this.#lowerCase.canFind(tests.flatMap(foldedTexts)))) return { liveBecause: 'NOT_COPIED' };
    const cells = new CopiedCells(table, fields, sort);
    const read = () =>
      this.#read(
        (verdicts) => pageStatement(wanted, verdicts, { cells, tests, sort, after, limit }),
        question,
        cells,
        operation,
      );
    return tests.length === 0 && sort.length === 0 ? read() : this.#turns.take(operation, read);
  }

  /** Those of the ids that the table has, in any order. The same must have been checked. */
  async find(
    wanted: CopyWanted,
    { table, fields }: Pick<CopyQuestion, 'table' | 'fields'>,
    ids: readonly string[],
    operation: Operation,
  ): Promise<CopiedRecords | NotCopied> {
    const question = { table, fields, tests: noTests, sort: noSort };
    const liveBecause = unanswerable(question);
    if (liveBecause) return { liveBecause };
    const cells = new CopiedCells(table, fields, noSort);
    return this.#read(
      (verdicts) => lookupStatement(wanted, verdicts, { cells, ids }),
      question,
      cells,
      operation,
    );
  }

  async #read(
    statementFor: (verdicts: Verdicts) => CopyStatement,
    question: CopyQuestion,
    cells: CopiedCells,
    operation: Operation,
  ): Promise<CopiedRecords | NotCopied> {
    const { table, sort } = question;
    const fields = fieldsIn(question);
    for (let met = 0; met < maxCopiesMet; met += 1) {
      const statement = statementFor(this.#shapes.verdicts(table.id, fields, sort));
      const copy = await this.#send(statement, operation);
      if (copy === 'slow') return { liveBecause: 'TOO_SLOW' };
      if (!copy) return { liveBecause: 'NO_COPY' };
      if (copy.field_shapes) this.#shapes.learn(table.id, copy.shapes_key, copy.field_shapes);
      else return this.#answerOf(copy, question, fields, cells);
    }
    return { liveBecause: 'NOT_COPIED' };
  }

  async #send({ text, values }: CopyStatement, operation: Operation): Promise<CopyRow | undefined | 'slow'> {
    const query = { ...this.#names.nameOf(text), text, values: [...values] };
    try {
      const [copy] = await queryWithin<CopyRow>(this.#pool, query, operation, this.#clock);
      return copy;
    } catch (error) {
      if (error instanceof TookTooLong) return 'slow';
      throw error;
    }
  }

  #answerOf(
    copy: CopyRow,
    { table, sort }: CopyQuestion,
    fields: readonly FieldSchema[],
    cells: CopiedCells,
  ): CopiedRecords | NotCopied {
    if (!copy.fits) {
      const isDoubtful = this.#shapes.isReordered(table.id, copy.shapes_key, fields, sort);
      return { liveBecause: 'NOT_COPIED', ...(isDoubtful && { isDoubtful }) };
    }
    if (!copy.fresh) {
      this.#refresh(copy.feed_id);
      return { liveBecause: 'TOO_OLD' };
    }
    const rows = JSON.parse(copy.records ?? '[]') as CopiedRow[];
    const records = rows.map((row) => {
      const createdTime = new Date(row[1]).toISOString();
      return { id: row[0], createdTime, fields: cells.read(row, createdTime) };
    });
    if (sort.length > 0 && records.some((record) => hasUnknownChoice(sort, record.fields)))
      return { liveBecause: 'NOT_COPIED', isDoubtful: true };
    return { asOf: copy.as_of.getTime(), records, replaced: replacedIn(copy.records ?? '', rows) };
  }
}

/** Most answers have none, which one look at the whole text tells. */
function replacedIn(json: string, rows: readonly CopiedRow[]): ReadonlySet<string> {
  if (!json.includes(replacement)) return none;
  return new Set(rows.filter((row) => JSON.stringify(row).includes(replacement)).map(([id]) => id));
}

const none: ReadonlySet<string> = new Set();
const noTests: readonly RecordTest[] = [];
const noSort: readonly SortField[] = [];
