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

beforeAll(async () => {
  app = await startTestApp({ clock, lookEveryMs: 50 });
  const connection = await app.connect();
  const ids = [await TwoWayTable.upstream(app), await TwoWayTable.upstream(app)];
  sides = [];
  for (const [index, conflicts] of ['CALENDLY_WINS', 'OMNERA_WINS'].entries()) {
    const table = await TwoWayTable.make(app, connection, ids[index] ?? '', { conflicts });
    sides.push(new TwoSides(table, index === 0, random.for(conflicts)));
  }
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
      await Promise.all(
        sides.map(async (one) => {
          const who = rounds === 0 ? 'omnera' : drawnSide(one);
          const before = await one.table.writtenRecords();
          const { local, conflicts } = await one.edit(app.database.url, who);
          one.figures.conflicts += conflicts;
          await one.table.quiet(60_000);
          const written = (await one.table.writtenRecords()) - before;
          one.figures.writes += written;
          // What the upstream tells is never sent back, and what is sent is sent once.
          if (who === 'calendly') expect({ rounds, written }).toEqual({ rounds, written: 0 });
          else if (spoiled === 0) expect(written).toBeLessThanOrEqual(local + 2 * conflicts);
          expect({ rounds, who, differences: await one.differences() }).toEqual({
            rounds,
            who,
            differences: [],
          });
        }),
      );
      await endSpoiling(app);
    }
    process.stderr.write(
      `${JSON.stringify({ seed: random.seed, rounds, hours: Math.round((clock.now() - startedAt) / 3_600_000), ...sides.map(({ figures }) => figures) })}\n`,
    );
    // And that can fail: a cell that is altered by hand, with nobody to notice, is found.
    const { table } = sides[0]!;
    await table.query('ALTER TABLE $table DISABLE TRIGGER USER');
    await table.query(`UPDATE $table SET points = 4711 WHERE _id = (SELECT min(_id) FROM $table)`);
    expect(await sides[0]?.differences()).not.toEqual([]);
  },
  timeLimitMs,
);

function drawnSide(one: TwoSides): 'both' | 'omnera' | 'calendly' {
  return random
    .for(`${one.table.table} ${one.figures.edits}`)
    .of(['both', 'both', 'omnera', 'calendly'] as const);
}
