import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  truncateSync,
  statSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { State } from '../../../sandbox/state/state.ts';

interface Thing {
  value: number;
}

let folder: string;
let file: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sandbox-state-'));
  file = join(folder, 'sandbox.jsonl');
});
afterEach(() => rmSync(folder, { recursive: true }));

function things(state: State): [string, Thing][] {
  return [...state.collection<Thing>('things').entries()];
}

describe('a collection', () => {
  test('gives what was put, in the order of first puts', () => {
    const collection = new State().collection<Thing>('things');
    collection.put('b', { value: 1 });
    collection.put('a', { value: 2 });
    collection.put('b', { value: 3 });
    expect([...collection.values()]).toEqual([{ value: 3 }, { value: 2 }]);
    expect([collection.get('a'), collection.get('c'), collection.size]).toEqual([{ value: 2 }, undefined, 2]);
    expect([collection.delete('a'), collection.delete('a'), collection.size]).toEqual([true, false, 1]);
  });

  test('is the same one for the same name', () => {
    const state = new State();
    state.collection<Thing>('things').put('a', { value: 1 });
    expect(things(state)).toEqual([['a', { value: 1 }]]);
    expect(state.collection('others').size).toBe(0);
  });
});

describe('the journal', () => {
  test('brings everything back: puts, deletes, clears, order', async () => {
    const state = new State(folder);
    const collection = state.collection<Thing>('things');
    collection.put('gone', { value: 0 });
    collection.clear();
    for (const [index, id] of ['c', 'a', 'b'].entries()) collection.put(id, { value: index });
    collection.delete('a');
    await state.close();
    expect(things(new State(folder))).toEqual([
      ['c', { value: 0 }],
      ['b', { value: 2 }],
    ]);
  });

  test('without a folder is none', () => {
    new State().collection<Thing>('things').put('a', { value: 1 });
    expect(existsSync(file)).toBe(false);
  });

  test('drops a torn last line and goes on after it', async () => {
    const state = new State(folder);
    state.collection<Thing>('things').put('a', { value: 1 });
    await state.close();
    appendFileSync(file, '[["put","things","b",{"val');
    const second = new State(folder);
    expect(things(second)).toEqual([['a', { value: 1 }]]);
    second.collection<Thing>('things').put('c', { value: 3 });
    await second.close();
    expect(things(new State(folder))).toEqual([
      ['a', { value: 1 }],
      ['c', { value: 3 }],
    ]);
  });

  test('drops a change made together whole when its line is torn at any place', async () => {
    const state = new State(folder);
    state.collection<Thing>('things').put('a', { value: 1 });
    const before = statSync(file).size;
    state.atomically(() => {
      state.collection<Thing>('things').put('b', { value: 2 });
      state.collection<Thing>('things').delete('a');
    });
    await state.close();
    const after = statSync(file).size;
    const whole = readFileSync(file);
    for (let size = after - 1; size >= before; size -= 7) {
      truncateSync(file, size);
      const reopened = new State(folder);
      expect(things(reopened)).toEqual([['a', { value: 1 }]]);
      await reopened.close();
      rmSync(file);
      appendFileSync(file, whole);
    }
    expect(things(new State(folder))).toEqual([['b', { value: 2 }]]);
  });

  test('is compacted at every start', async () => {
    const state = new State(folder);
    for (let value = 0; value < 1_000; value += 1) state.collection<Thing>('things').put('a', { value });
    await state.close();
    const before = statSync(file).size;
    await new State(folder).close();
    expect(statSync(file).size).toBeLessThan(before / 100);
    expect(things(new State(folder))).toEqual([['a', { value: 999 }]]);
  });

  test('forgets everything on reset', async () => {
    const state = new State(folder);
    const collection = state.collection<Thing>('things');
    collection.put('a', { value: 1 });
    state.reset();
    collection.put('b', { value: 2 });
    await state.close();
    expect(things(new State(folder))).toEqual([['b', { value: 2 }]]);
  });

  test('holds all that was acknowledged before the process was killed', async () => {
    const writer = join(import.meta.dirname, 'endless-writer.ts');
    const child = spawn(process.execPath, ['--import', 'tsx', writer, folder], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const exited = once(child, 'exit');
    let acknowledged = -1;
    for await (const line of createInterface({ input: child.stdout })) {
      acknowledged = Number(line);
      if (acknowledged >= 200) child.kill('SIGKILL');
    }
    await exited;
    const found = things(new State(folder));
    expect(found.length).toBeGreaterThan(acknowledged);
    expect(found.map(([, { value }]) => value)).toEqual(found.map((_, index) => index));
  }, 60_000);
});
