import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { WaitingLine, type Waiting } from '../../src/calendly/waiting-line.ts';

interface Item extends Waiting {
  name: string;
}
const person = (callerId: string, name: string): Item => ({ callerId, name, priority: 'person' });
const drain = (callerId: string, name: string): Item => ({ callerId, name, priority: 'drain' });
const background = (callerId: string, name: string): Item => ({ callerId, name, priority: 'background' });

function takeAll(line: WaitingLine<Item>, priority: Item['priority'] = 'person'): string[] {
  const names: string[] = [];
  for (let item = line.takeNext(priority); item; item = line.takeNext(priority)) names.push(item.name);
  return names;
}

describe('the waiting line', () => {
  test('callers take turns, each in the order of its own calls', () => {
    const line = new WaitingLine<Item>();
    for (const name of ['a1', 'a2', 'a3']) line.add(person('a', name));
    line.add(person('b', 'b1'));
    line.add(person('c', 'c1'));
    line.add(person('b', 'b2'));
    expect(takeAll(line)).toEqual(['a1', 'b1', 'c1', 'a2', 'b2', 'a3']);
  });

  test('people, drains and other background work wait in lines of their own', () => {
    const line = new WaitingLine<Item>();
    line.add(background('b', 'b1'));
    line.add(person('a', 'a1'));
    line.add(background('sync', 's1'));
    line.add(drain('webhooks', 'd1'));
    line.add(background('b', 'b2'));
    expect([line.count('person'), line.count('drain'), line.count('background'), line.size]).toEqual([
      1, 1, 3, 5,
    ]);
    expect(takeAll(line)).toEqual(['a1']);
    expect(takeAll(line, 'drain')).toEqual(['d1']);
    expect(takeAll(line, 'background')).toEqual(['b1', 's1', 'b2']);
  });

  test('who has left is not called', () => {
    const line = new WaitingLine<Item>();
    const leaving = person('a', 'a1');
    line.add(leaving);
    line.add(person('a', 'a2'));
    expect([line.remove(leaving), line.remove(leaving), line.size]).toEqual([true, false, 1]);
    expect(takeAll(line)).toEqual(['a2']);
  });

  test('whatever comes, everyone is called once, and nobody twice before another who waits', () => {
    const items = fc.array(
      fc.record({
        callerId: fc.constantFrom('a', 'b', 'c'),
        priority: fc.constantFrom('person', 'drain', 'background'),
      }),
    );
    fc.assert(
      fc.property(items, (waiting) => {
        const line = new WaitingLine<Item>();
        waiting.forEach((item, index) => line.add({ ...item, name: String(index) }));
        const called = new Set<string>();
        for (const priority of ['person', 'drain', 'background'] as const) {
          const turns = new Map<string, number>();
          for (let item = line.takeNext(priority); item; item = line.takeNext(priority)) {
            called.add(item.name);
            const turn = (turns.get(item.callerId) ?? 0) + 1;
            turns.set(item.callerId, turn);
            for (const other of new Set(
              line
                .items()
                .filter((left) => left.priority === priority)
                .map(({ callerId }) => callerId),
            ))
              expect(turns.get(other) ?? 0).toBeGreaterThanOrEqual(turn - 1);
          }
        }
        expect([called.size, line.size]).toEqual([waiting.length, 0]);
      }),
    );
  });
});
