import DataLoader from 'dataloader';
import type { PendingWork } from '../../bases/pending-work.ts';
import type { CalendlyApi } from '../../calendly/api.ts';
import type { Operation } from '../../calendly/operation.ts';
import type { FieldSet } from '../field-set.ts';
import { nodeOf, originOf, type Freshness, type RecordNode } from '../record-node.ts';
import type { RecordLookup } from '../record-planner.ts';
import type { RecordCopies } from './record-copies.ts';

/** Ids in one statement. */
const maxIdsPerStatement = 1_000;

/** A record of the copy, null when the table does not have it, or why it has to be read from the upstream. */
type Copied = RecordNode | null | Freshness;

interface AgedLookup extends RecordLookup {
  maxAgeMs: number;
}

/**
 * Lookups of one operation that a copy may answer: those of one level together, with one statement for each table and set
 * of cells. They cost nothing, so nothing is remembered of them.
 */
export class CopyLookups {
  readonly #copies: RecordCopies;
  readonly #operation: Operation;
  readonly #pending: PendingWork;
  readonly #openApi: (connectionId: number) => Promise<CalendlyApi>;
  readonly #loaders: DataLoader<AgedLookup, Copied>[] = [];

  /** @param deps.openApi throws when the connection may not read */
  constructor(deps: {
    copies: RecordCopies;
    operation: Operation;
    pending: PendingWork;
    openApi: (connectionId: number) => Promise<CalendlyApi>;
  }) {
    this.#copies = deps.copies;
    this.#operation = deps.operation;
    this.#pending = deps.pending;
    this.#openApi = deps.openApi;
  }

  load(lookup: RecordLookup, maxAgeMs: number, level: number): Promise<Copied> {
    const loader = (this.#loaders[level] ??= new DataLoader((lookups) => this.#loadAll(lookups, level), {
      cache: false,
      maxBatchSize: maxIdsPerStatement,
      batchScheduleFn: (dispatch) => this.#pending.whenReadyToRead(level, dispatch),
    }));
    return loader.load({ ...lookup, maxAgeMs });
  }

  async #loadAll(lookups: readonly AgedLookup[], level: number): Promise<(Copied | Error)[]> {
    const groups = new Map<FieldSet, Map<string, AgedLookup[]>>();
    for (const lookup of lookups) {
      const { connectionId, baseId, table, fields, maxAgeMs } = lookup;
      const byTable = entryOf(groups, fields, () => new Map<string, AgedLookup[]>());
      entryOf(byTable, `${connectionId}/${baseId}/${table.id}/${maxAgeMs}`, () => []).push(lookup);
    }
    const answers = new Map<AgedLookup, Copied | Error>();
    const loadInto = async (group: readonly AgedLookup[]) => {
      const answer = await this.#loadGroup(group, level).catch((error: unknown) => () => asError(error));
      for (const lookup of group) answers.set(lookup, answer(lookup.recordId));
    };
    await Promise.all(
      [...groups.values()].flatMap((byTable) => [...byTable.values()]).map((group) => loadInto(group)),
    );
    return lookups.map((lookup) => answers.get(lookup) ?? null);
  }

  /** All of one table and set of cells. */
  async #loadGroup(lookups: readonly AgedLookup[], level: number): Promise<(id: string) => Copied> {
    const { connectionId, baseId, table, fields, maxAgeMs } = lookups[0]!;
    await this.#openApi(connectionId);
    const wanted = { connectionId, baseId, tableId: table.id, maxAgeMs };
    const ids = [...new Set(lookups.map(({ recordId }) => recordId))];
    const found = await this.#copies.find(wanted, { table, fields }, ids, this.#operation);
    if ('liveBecause' in found) {
      const freshness = { maxAgeMs, liveBecause: found.liveBecause };
      return () => freshness;
    }
    const origin = originOf(
      { connectionId, baseId, table },
      {
        known: fields,
        readAt: found.asOf,
        level,
        source: 'COPY',
        freshness: { maxAgeMs, liveBecause: null },
      },
    );
    const byId = new Map(found.records.map((record) => [record.id, nodeOf(origin, record)]));
    const liveAlone: Freshness = { maxAgeMs, liveBecause: 'NOT_COPIED' };
    return (id) => (found.replaced.has(id) ? liveAlone : (byId.get(id) ?? null));
  }
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error('A lookup failed', { cause: error });
}

function entryOf<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  let value = map.get(key);
  if (value === undefined) map.set(key, (value = make()));
  return value;
}
