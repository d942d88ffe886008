import { setTimeout as wait } from 'node:timers/promises';
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
    const before = new Map([...this.expected].map(([name, cells]) => [name, { ...cells }]));
    const idOf = await this.#ids();
    // A few at a time, so that both sides often meet.
    const known = [...before.keys()].slice(-6);
    const here = who === 'calendly' ? new Map<string, Cells | null>() : this.#drawn(known, 'omnera');
    const there =
      who === 'omnera' ? new Map<string, Cells | null>() : this.#drawn(known, 'calendly', [...here.keys()]);
    this.figures.edits += here.size + there.size;
    const client = new pg.Client({ connectionString: databaseUrl });
    await client.connect();
    try {
      await client.query('BEGIN');
      for (const [name, cells] of here) await this.#here(client, name, cells, before.has(name));
      if (there.size > 0) await this.#there(there, idOf);
      await client.query('COMMIT');
    } finally {
      await client.end();
    }
    const earlier = this.conflicts.length;
    for (const name of new Set([...here.keys(), ...there.keys()]))
      this.#decide(name, before.get(name) ?? null, here, there, idOf.get(name) ?? '', before.has(name));
    return { local: here.size, conflicts: this.conflicts.length - earlier };
  }

  /** @param met names that the other side has drawn, which are drawn again more often than not */
  #drawn(known: string[], side: string, met: readonly string[] = []): Map<string, Cells | null> {
    const random = this.#random;
    const drawn = new Map<string, Cells | null>();
    const both = met.filter((name) => known.includes(name));
    for (let count = random.whole(1, 6); count > 0; count -= 1) {
      const dice = random.between(0, 1);
      const name = () => random.of(both.length > 0 && random.between(0, 1) < 0.7 ? both : known);
      if (dice < 0.2 || known.length < 4) drawn.set(`${side} ${(this.#named += 1)}`, this.#cells(1));
      else drawn.set(name(), dice < 0.35 ? null : this.#cells(0.5));
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

  /** Ids of the records by their names. */
  async #ids(): Promise<Map<string, string>> {
    const records = await this.table.records();
    return new Map([...records].map(([id, cells]) => [cells['name'] as string, id]));
  }

  /** @returns how many rows that was */
  async #here(
    client: pg.Client,
    name: string,
    cells: Cells | null,
    isKnown: boolean,
  ): Promise<number | null> {
    const { table } = this.table;
    if (cells === null) return (await client.query(`DELETE FROM ${table} WHERE name = $1`, [name])).rowCount;
    const [names, values] = [Object.keys(cells), Object.values(cells) as unknown[]];
    const text = isKnown
      ? `UPDATE ${table} SET ${names.map((one, n) => `${one} = $${n + 2}`).join(', ')} WHERE name = $1`
      : `INSERT INTO ${table} (name, ${names.join(', ')}) VALUES ($1, ${names.map((_, n) => `$${n + 2}`).join(', ')})`;
    return (await client.query(text, [name, ...values])).rowCount;
  }

  async #there(
    edits: ReadonlyMap<string, Cells | null>,
    idOf: ReadonlyMap<string, string>,
  ): Promise<string[]> {
    const named = (cells: Cells): Cells =>
      Object.fromEntries(
        Object.entries(cells).map(([column, value]) => [fieldNames[column], value as unknown]),
      );
    const all = [...edits];
    return this.table.edit({
      create: all.flatMap(([name, cells]) =>
        cells && !idOf.has(name) ? [{ fields: { Name: name, ...named(cells) } }] : [],
      ),
      update: all.flatMap(([name, cells]) =>
        cells && idOf.has(name) ? [{ id: idOf.get(name), fields: named(cells) }] : [],
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

  /**
   * People on both sides edit one after the other, without a pause that would let one know of the other's edits, or not.
   * What comes of a cell that both have written is open then; all others have to be what was written last.
   * @returns what is not as it should be, in words
   */
  async editRestlessly(databaseUrl: string, settle: () => Promise<void>): Promise<string[]> {
    const { table } = this;
    const random = this.#random;
    const before = new Map([...this.expected].map(([name, cells]) => [name, { ...cells }]));
    const known = [...before.keys()].slice(-5);
    const written = new Map<string, { side: string; cells: Cells | null }[]>();
    const note = (side: string, name: string, cells: Cells | null) =>
      written.set(name, [...(written.get(name) ?? []), { side, cells }]);
    const client = new pg.Client({ connectionString: databaseUrl });
    await client.connect();
    try {
      for (let count = random.whole(4, 12); count > 0; count -= 1) {
        const side = random.of(['omnera', 'calendly']);
        const dice = random.between(0, 1);
        const isNew = known.length < 3 || dice < 0.2;
        const name = isNew ? `${side} ${(this.#named += 1)}` : random.of(known);
        const cells = !isNew && dice < 0.3 ? null : this.#cells(isNew ? 1 : 0.5);
        if (side === 'omnera') {
          // Whoever edits what is not there, or not any more, has edited nothing.
          if ((await this.#here(client, name, cells, !isNew)) === 0) continue;
        } else {
          const idOf = await this.#ids();
          if (!isNew && !idOf.has(name)) continue;
          const isEdited = await this.#there(new Map([[name, cells]]), idOf).then(
            () => true,
            () => false,
          );
          if (!isEdited) continue;
        }
        note(side, name, cells);
        if (isNew) known.push(name);
        this.figures.edits += 1;
        await wait(random.of([0, 0, 5, 20, 60, 150]));
      }
    } finally {
      await client.end();
    }
    await settle();
    const found: string[] = [];
    const names = new Map<string, Cells[]>();
    for (const cells of (await table.records()).values())
      names.set(cells['name'] as string, [...(names.get(cells['name'] as string) ?? []), cells]);
    for (const name of new Set([...this.expected.keys(), ...written.keys(), ...names.keys()])) {
      const edits = written.get(name) ?? [];
      const records = names.get(name) ?? [];
      const isDeleted = edits.some(({ cells }) => cells === null);
      if (records.length > 1 || (records.length === 0 && !isDeleted))
        found.push(`${name} is there ${records.length} times: ${JSON.stringify(edits)}`);
      const [record] = records;
      if (!record) continue;
      for (const column of columns) {
        const values = edits.flatMap(({ side, cells }) =>
          cells && column in cells ? [{ side, value: plain(cells[column]) }] : [],
        );
        const last = values.at(-1)?.value ?? plain(this.expected.get(name)?.[column]);
        const isOpen = isDeleted || new Set(values.map(({ side }) => side)).size > 1;
        const may = isOpen
          ? [...values.map(({ value }) => value), plain(before.get(name)?.[column])]
          : [last];
        if (!may.includes(plain(record[column])))
          found.push(`${name} ${column} is ${plain(record[column])}: ${JSON.stringify(edits)}`);
      }
    }
    this.expected.clear();
    for (const [name, [cells]] of names) this.expected.set(name, { ...cells });
    const listed = await this.#listed();
    this.figures.conflicts += listed.length - this.conflicts.length;
    this.conflicts.splice(0, this.conflicts.length, ...listed);
    const winner = this.calendlyWins ? 'CALENDLY' : 'OMNERA';
    if (listed.some((line) => !line.endsWith(winner)))
      found.push('a conflict was decided for the wrong side');
    return found;
  }

  async #listed(): Promise<Line[]> {
    const listed = (await this.table.conflicts()).map((one: UntypedData) =>
      one.kind === 'CELL'
        ? `CELL ${one.recordId} ${one.fieldName.toLowerCase()} ${plain(one.calendlyValue)} ${plain(one.omneraValue)} ${one.winner}`
        : `${one.kind} ${one.recordId} - ${one.winner}`,
    );
    return listed.sort();
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
    const listed = await this.#listed();
    compare(found, 'listed conflicts and expected ones', listed, [...this.conflicts].sort());
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
