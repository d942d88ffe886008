import pg from 'pg';
import { control, type TestApp, type UntypedData } from '../support/app.ts';
import type { SeededRandom } from '../support/seeded-random.ts';
import { crm } from './sync-app.ts';
import { type TwoWayTable } from './two-way-table.ts';

/** A clock that is moved together with that of the sandbox. */
export class MovedClock {
  #aheadMs = 0;

  now(): number {
    return Date.now() + this.#aheadMs;
  }

  async advance(app: TestApp, ms: number): Promise<void> {
    await control(app.sandbox.url, 'clock', { advanceMs: ms });
    this.#aheadMs += ms;
  }
}

type Cells = Record<string, UntypedData>;
/** What a conflict is expected to say, as a line. */
type Line = string;

const columns = ['points', 'done', 'due', 'kind', 'tags'];
const fieldNames: Record<string, string> = {
  points: 'Points',
  done: 'Done',
  due: 'Due',
  kind: 'Kind',
  tags: 'Tags',
};

const faults = [
  { match: { method: 'POST' }, kind: 'reset', effect: 'after' },
  { match: { method: 'POST' }, kind: 'reset', effect: 'before' },
  { match: { method: 'POST' }, kind: 'malformed', effect: 'after' },
  { match: { method: 'PATCH' }, kind: 'reset', effect: 'after' },
  { match: { method: 'PATCH' }, kind: 'reset', effect: 'before' },
  { match: { method: 'PATCH' }, kind: 'status', status: 503 },
  { match: { method: 'DELETE' }, kind: 'reset', effect: 'after' },
  { match: { method: 'DELETE' }, kind: 'status', status: 500 },
  { match: { method: 'POST' }, kind: 'status', status: 429, headers: { 'retry-after': '1' } },
];
const payloadFaults = [
  { kind: 'status', status: 500 },
  { kind: 'reset', effect: 'after' },
  { kind: 'malformed', effect: 'after' },
];

/**
 * What both sides should hold after each round, and which conflicts should have been listed: written from the documentation.
 * Records are known by their name, which nobody changes.
 */
export class TwoSides {
  readonly table: TwoWayTable;
  readonly calendlyWins: boolean;
  readonly expected = new Map<string, Cells>();
  readonly conflicts: Line[] = [];
  readonly figures = { edits: 0, conflicts: 0, writes: 0 };
  readonly #random: SeededRandom;
  #named = 0;

  constructor(table: TwoWayTable, calendlyWins: boolean, random: SeededRandom) {
    this.table = table;
    this.calendlyWins = calendlyWins;
    this.#random = random;
  }

  /**
   * People on both sides edit at once: those here in a transaction that is open until those there are done, so that none can
   * know of the other's edits. @returns how many rows were changed here, and conflicts are expected
   */
  async edit(
    databaseUrl: string,
    who: 'both' | 'omnera' | 'calendly',
  ): Promise<{ local: number; conflicts: number }> {
    const { table } = this;
    const before = new Map([...this.expected].map(([name, cells]) => [name, { ...cells }]));
    const idOf = new Map<string, string>();
    for (const [id, cells] of await table.records()) idOf.set(cells['name'] as string, id);
    // A few at a time, so that both sides often meet.
    const known = [...before.keys()].slice(-6);
    const here = who === 'calendly' ? new Map<string, Cells | null>() : this.#drawn(known, 'omnera');
    const there = who === 'omnera' ? new Map<string, Cells | null>() : this.#drawn(known, 'calendly');
    this.figures.edits += here.size + there.size;
    const client = new pg.Client({ connectionString: databaseUrl });
    await client.connect();
    try {
      await client.query('BEGIN');
      for (const [name, cells] of here) await this.#here(client, name, cells, before.has(name));
      if (there.size > 0) await this.#there(there, idOf, before);
      await client.query('COMMIT');
    } finally {
      await client.end();
    }
    const earlier = this.conflicts.length;
    for (const name of new Set([...here.keys(), ...there.keys()]))
      this.#decide(name, before.get(name) ?? null, here, there, idOf.get(name) ?? '', before.has(name));
    return { local: here.size, conflicts: this.conflicts.length - earlier };
  }

  #drawn(known: string[], side: string): Map<string, Cells | null> {
    const random = this.#random;
    const drawn = new Map<string, Cells | null>();
    for (let count = random.whole(1, 5); count > 0; count -= 1) {
      const dice = random.between(0, 1);
      if (dice < 0.25 || known.length < 4) drawn.set(`${side} ${(this.#named += 1)}`, this.#cells(1));
      else if (dice < 0.4) drawn.set(random.of(known), null);
      else drawn.set(random.of(known), this.#cells(0.5));
    }
    return drawn;
  }

  #cells(share: number): Cells {
    const random = this.#random;
    const all: Cells = {
      points: random.of([null, 0, 1, 2.5, -3]),
      done: random.of([true, false]),
      due: random.of([null, '2026-01-31', '2026-12-24']),
      kind: random.of([null, 'Bug', 'Chore']),
      tags: random.of([[], ['a'], ['a', 'b'], ['c', 'a']]),
    };
    const some = Object.entries(all).filter(() => random.between(0, 1) < share);
    return Object.fromEntries(some.length > 0 ? some : [['points', random.whole(5, 9)]]);
  }

  async #here(client: pg.Client, name: string, cells: Cells | null, isKnown: boolean): Promise<void> {
    const { table } = this.table;
    if (cells === null) return void (await client.query(`DELETE FROM ${table} WHERE name = $1`, [name]));
    const [names, values] = [Object.keys(cells), Object.values(cells) as unknown[]];
    if (!isKnown)
      await client.query(
        `INSERT INTO ${table} (name, ${names.join(', ')}) VALUES ($1, ${names.map((_, n) => `$${n + 2}`).join(', ')})`,
        [name, ...values],
      );
    else
      await client.query(
        `UPDATE ${table} SET ${names.map((one, n) => `${one} = $${n + 2}`).join(', ')} WHERE name = $1`,
        [name, ...values],
      );
  }

  async #there(
    edits: ReadonlyMap<string, Cells | null>,
    idOf: ReadonlyMap<string, string>,
    before: ReadonlyMap<string, Cells>,
  ): Promise<void> {
    const named = (cells: Cells): Cells =>
      Object.fromEntries(
        Object.entries(cells).map(([column, value]) => [fieldNames[column], value as unknown]),
      );
    const all = [...edits];
    await this.table.edit({
      create: all.flatMap(([name, cells]) =>
        cells && !before.has(name) ? [{ fields: { Name: name, ...named(cells) } }] : [],
      ),
      update: all.flatMap(([name, cells]) =>
        cells && before.has(name) ? [{ id: idOf.get(name), fields: named(cells) }] : [],
      ),
      destroy: all.flatMap(([name, cells]) => (cells === null ? [idOf.get(name)] : [])),
    });
  }

  #decide(
    name: string,
    base: Cells | null,
    here: ReadonlyMap<string, Cells | null>,
    there: ReadonlyMap<string, Cells | null>,
    id: string,
    isKnown: boolean,
  ): void {
    const winner = this.calendlyWins ? 'CALENDLY' : 'OMNERA';
    const changedIn = (cells: Cells | null | undefined): Cells =>
      Object.fromEntries(
        Object.entries(cells ?? {}).filter(([column, value]) => plain(value) !== plain(base?.[column])),
      );
    if (!isKnown) {
      this.expected.set(name, { ...here.get(name), ...there.get(name) });
      return;
    }
    const [mine, theirs] = [changedIn(here.get(name)), changedIn(there.get(name))];
    const [isDeletedHere, isDeletedThere] = [here.get(name) === null, there.get(name) === null];
    if (isDeletedHere || isDeletedThere) {
      const others = isDeletedHere && isDeletedThere ? {} : isDeletedHere ? theirs : mine;
      const isConflict = Object.keys(others).length > 0;
      if (isConflict)
        this.conflicts.push(`DELETED_BY_${isDeletedHere ? 'OMNERA' : 'CALENDLY'} ${id} - ${winner}`);
      const stays = isConflict && isDeletedHere === this.calendlyWins;
      if (stays) this.expected.set(name, { ...base, ...others });
      else this.expected.delete(name);
      return;
    }
    const merged = { ...base, ...mine, ...theirs };
    for (const column of columns) {
      if (!(column in mine) || !(column in theirs) || plain(mine[column]) === plain(theirs[column])) continue;
      this.conflicts.push(`CELL ${id} ${column} ${plain(theirs[column])} ${plain(mine[column])} ${winner}`);
      merged[column] = (this.calendlyWins ? theirs : mine)[column];
    }
    this.expected.set(name, merged);
  }

  /** What is not as it should be, in words. */
  async differences(): Promise<string[]> {
    const { omnera, calendly } = await this.table.sides();
    const found: string[] = [];
    const line = (name: string, cells: Cells): string =>
      `${name}: ${columns.map((column) => plain(cells[column])).join(' ')}`;
    const expected = [...this.expected].map(([name, cells]) => line(name, cells)).sort();
    const records = [...(await this.table.records()).values()]
      .map((cells) => line(cells['name'] as string, cells))
      .sort();
    compare(found, 'Calendly and the table', calendly, omnera);
    compare(found, 'Calendly and what was expected', records, expected);
    const listed = (await this.table.conflicts()).map((one: UntypedData) =>
      one.kind === 'CELL'
        ? `CELL ${one.recordId} ${one.fieldName.toLowerCase()} ${plain(one.calendlyValue)} ${plain(one.omneraValue)} ${one.winner}`
        : `${one.kind} ${one.recordId} - ${one.winner}`,
    );
    compare(found, 'listed conflicts and expected ones', listed.sort(), [...this.conflicts].sort());
    return found;
  }
}

function compare(found: string[], what: string, one: readonly string[], other: readonly string[]): void {
  const only = (a: readonly string[], b: readonly string[]): string[] =>
    a.filter((line) => !b.includes(line)).slice(0, 3);
  if (one.join('\n') === other.join('\n')) return;
  found.push(`${what} differ: ${JSON.stringify(only(one, other))} / ${JSON.stringify(only(other, one))}`);
}

function plain(value: UntypedData): string {
  const isEmpty = value === undefined || value === null || value === '' || value === false;
  return isEmpty || (Array.isArray(value) && value.length === 0) ? '-' : JSON.stringify(value);
}

/**
 * Spoils some of the calls that follow. @returns how many of them are writes
 * @param pulls whether calls for changes and pings are spoiled as well, which takes seconds to get over
 */
export async function spoil(
  app: TestApp,
  random: SeededRandom,
  { pulls }: { pulls: boolean },
): Promise<number> {
  let writes = 0;
  for (let count = random.whole(0, 3); count > 0; count -= 1) {
    const isWrite = random.between(0, 1) < 0.6 || !pulls;
    if (isWrite) writes += 1;
    const { match, ...fault } = isWrite
      ? random.of(faults)
      : { match: { method: 'GET' }, ...random.of(payloadFaults) };
    const path = isWrite ? `/v0/${crm.baseId}/**` : '/v0/bases/*/webhooks/*/payloads';
    await control(app.sandbox.url, 'faults', { match: { ...match, path }, times: 1, ...fault });
  }
  if (pulls)
    await control(app.sandbox.url, 'pings', {
      drop: random.of([false, false, 0.5]),
      repeat: random.whole(0, 2),
    });
  return writes;
}

export async function endSpoiling(app: TestApp): Promise<void> {
  await control(app.sandbox.url, 'pings', { drop: false, repeat: 0 });
  await fetch(`${app.sandbox.url}/_control/faults`, { method: 'DELETE' });
}
