import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { startTestApp, type TestApp } from '../support/app.ts';
import { isLongRun, repeats, timeLimitMs } from '../support/repeats.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import { endSpoiling, MovedClock, spoil, TwoSides } from './days-run.ts';
import { TwoWayTable } from './two-way-table.ts';

const clock = new MovedClock();
const random = SeededRandom.fromEnvironment();
let app: TestApp;
let sides: TwoSides[];
/** A table that only follows the others' first one, and one that Calendly follows. */
let pulled: TwoWayTable;
let pushed: TwoSides;

beforeAll(async () => {
  app = await startTestApp({ clock, lookEveryMs: 50, config: { syncReconcileHours: isLongRun ? 5 : 0 } });
  const connection = await app.connect();
  const [first = '', second = '', third = ''] = [
    await TwoWayTable.upstream(app),
    await TwoWayTable.upstream(app),
    await TwoWayTable.upstream(app),
  ];
  const [calendlyWins, omneraWins, copy, push] = await Promise.all([
    TwoWayTable.make(app, connection, first, { conflicts: 'CALENDLY_WINS' }),
    TwoWayTable.make(app, connection, second, { conflicts: 'OMNERA_WINS' }),
    TwoWayTable.make(app, connection, first, { direction: 'PULL' }),
    TwoWayTable.make(app, connection, third, { direction: 'PUSH' }),
  ]);
  pulled = copy;
  sides = [
    new TwoSides(calendlyWins, true, random.for('CALENDLY_WINS')),
    new TwoSides(omneraWins, false, random.for('OMNERA_WINS')),
  ];
  pushed = new TwoSides(push, false, random.for('PUSH'));
}, timeLimitMs);
afterAll(() => app.close());

test(
  'whatever both sides edit at once, they come to the same, as decided and listed, and nothing echoes',
  async () => {
    process.stderr.write(`CHAOS_SEED=${random.seed}\n`);
    const chance = random.for('rounds');
    const startedAt = clock.now();
    const endAt = startedAt + repeats({ suite: 0.75, long: 24 }) * 3_600_000;
    let rounds = 0;
    for (; clock.now() < endAt; rounds += 1) {
      await clock.advance(
        app,
        chance.between(repeats({ suite: 10, long: 2 }), repeats({ suite: 25, long: 20 })) * 60_000,
      );
      const spoiled = rounds === 0 ? 0 : await spoil(app, chance, { pulls: isLongRun });
      const isRestless = rounds % 2 === 1;
      const at = { rounds, isRestless };
      const settle = (table: TwoWayTable) => () => table.quiet(60_000);
      await Promise.all([
        ...sides.map(async (one) => {
          if (isRestless) {
            const found = await one.editRestlessly(app.database.url, settle(one.table));
            expect({ ...at, found }).toEqual({ ...at, found: [] });
          } else {
            await roundOf(one, rounds === 0 ? 'omnera' : drawnSide(one), { spoiled, rounds });
          }
          expect({ ...at, differences: await one.differences() }).toEqual({ ...at, differences: [] });
        }),
        roundOf(pushed, 'omnera', { spoiled, rounds }).then(async () => {
          expect({ ...at, differences: await pushed.differences() }).toEqual({ ...at, differences: [] });
        }),
      ]);
      await endSpoiling(app);
      await pulled.quiet(60_000);
      const copy = await pulled.sides();
      expect({ ...at, copy: copy.omnera }).toEqual({ ...at, copy: copy.calendly });
    }
    process.stderr.write(
      `${JSON.stringify({ seed: random.seed, rounds, hours: Math.round((clock.now() - startedAt) / 3_600_000), ...[...sides, pushed].map(({ figures }) => figures) })}\n`,
    );
    // And that can fail: a cell that is altered by hand, with nobody to notice, is found.
    const { table } = sides[0]!;
    await table.query('ALTER TABLE $table DISABLE TRIGGER USER');
    await table.query(`UPDATE $table SET points = 4711 WHERE _id = (SELECT min(_id) FROM $table)`);
    expect(await sides[0]?.differences()).not.toEqual([]);
  },
  timeLimitMs,
);

/** Edits that are decided as documented, of one table. What is sent is counted. */
async function roundOf(
  one: TwoSides,
  who: 'both' | 'omnera' | 'calendly',
  { spoiled, rounds }: { spoiled: number; rounds: number },
): Promise<void> {
  const before = await one.table.writtenRecords();
  const { local, conflicts } = await one.edit(app.database.url, who);
  one.figures.conflicts += conflicts;
  await one.table.quiet(60_000);
  const written = (await one.table.writtenRecords()) - before;
  one.figures.writes += written;
  // What the upstream tells is never sent back, and what is sent is sent once.
  if (who === 'calendly') expect({ rounds, written }).toEqual({ rounds, written: 0 });
  else if (spoiled === 0) expect(written).toBeLessThanOrEqual(local + 2 * conflicts);
}

function drawnSide(one: TwoSides): 'both' | 'omnera' | 'calendly' {
  return random
    .for(`${one.table.table} ${one.figures.edits}`)
    .of(['both', 'both', 'omnera', 'calendly'] as const);
}
