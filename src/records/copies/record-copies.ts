import type { Pool } from 'pg';
import type { DataSource } from 'typeorm';
import type { PostgresDriver } from 'typeorm/driver/postgres/PostgresDriver.js';
import type { RecordTest } from '../filters/record-test.ts';
import { fieldsIn, unanswerable, type CopyQuestion } from './answerable.ts';
import { CopiedCells, type CopiedRow } from './copied-cells.ts';
import { lookupStatement, pageStatement, type CopyStatement, type CopyWanted } from './copy-statement.ts';
import { keepsShape, type FieldShapes } from './field-shapes.ts';
import type { LiveReason } from './live-reason.ts';
import { foldedTexts, LowerCase } from './lower-case.ts';
import { PreparedNames } from './prepared-names.ts';
import type { CopyPlace, SortField } from './sort-order.ts';

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
}

/** Why no copy has answered. */
export interface NotCopied {
  liveBecause: LiveReason;
}

interface CopyRow {
  feed_id: number;
  as_of: Date;
  field_shapes: FieldShapes;
  fresh: boolean;
  records: CopiedRow[] | null;
}

/**
 * Reads records from the copies that syncs keep. A copy answers only if it gives what the upstream would: where that is
 * not certain, the answer says why, and the read goes live.
 */
export class RecordCopies {
  readonly #pool: Pool;
  readonly #refresh: (feedId: number) => void;
  readonly #names = new PreparedNames();
  readonly #lowerCase: LowerCase;

  /** @param deps.refresh brings the log of a feed up to date in the background; called as often as a copy was too old */
  constructor(deps: { database: DataSource; refresh: (feedId: number) => void }) {
    this.#pool = (deps.database.driver as PostgresDriver).master as Pool;
    this.#refresh = deps.refresh;
    this.#lowerCase = new LowerCase((text, values) => deps.database.query(text, values));
  }

  /** `limit` records behind a place. The caller's right to the base, and the connection's, must have been checked. */
  async list(
    wanted: CopyWanted,
    question: CopyQuestion,
    { after, limit }: { after: CopyPlace | null; limit: number },
  ): Promise<CopiedRecords | NotCopied> {
    const { table, fields, tests, sort } = question;
    const liveBecause = unanswerable(question);
    if (liveBecause) return { liveBecause };
    if (!(await this.#lowerCase.canFind(tests.flatMap(foldedTexts)))) return { liveBecause: 'NOT_COPIED' };
    const cells = new CopiedCells(table, fields, sort);
    return this.#read(pageStatement(wanted, { cells, tests, sort, after, limit }), question, cells);
  }

  /** Those of the ids that the table has, in any order. The same must have been checked. */
  async find(
    wanted: CopyWanted,
    { table, fields }: Pick<CopyQuestion, 'table' | 'fields'>,
    ids: readonly string[],
  ): Promise<CopiedRecords | NotCopied> {
    const question = { table, fields, tests: noTests, sort: noSort };
    const liveBecause = unanswerable(question);
    if (liveBecause) return { liveBecause };
    const cells = new CopiedCells(table, fields, noSort);
    return this.#read(lookupStatement(wanted, { cells, ids }), question, cells);
  }

  async #read(
    { text, values }: CopyStatement,
    question: CopyQuestion,
    cells: CopiedCells,
  ): Promise<CopiedRecords | NotCopied> {
    const { rows } = await this.#pool.query<CopyRow>({
      ...this.#names.nameOf(text),
      text,
      values: [...values],
    });
    const [copy] = rows;
    if (!copy) return { liveBecause: 'NO_COPY' };
    if (!fieldsIn(question).every((field) => keepsShape(field, copy.field_shapes[field.id])))
      return { liveBecause: 'NOT_COPIED' };
    if (!copy.fresh) {
      this.#refresh(copy.feed_id);
      return { liveBecause: 'TOO_OLD' };
    }
    return {
      asOf: copy.as_of.getTime(),
      records: (copy.records ?? []).map((row) => {
        const createdTime = new Date(row[1]).toISOString();
        return { id: row[0], createdTime, fields: cells.read(row, createdTime) };
      }),
    };
  }
}

const noTests: readonly RecordTest[] = [];
const noSort: readonly SortField[] = [];
