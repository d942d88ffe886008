import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { WaitingLine, type Waiting } from '../../src/calendly/waiting-line.ts';

interface Item extends Waiting {
  name: string;
}
const person = (callerId: string, name: string): Item => ({ callerId, name, priority: 'person' });
const background = (callerId: string, name: string): Item => ({ callerId, name, priority: 'background' });

function takeAll(line: WaitingLine<Item>): string[] {
  const names: string[] = [];
  for (let item = line.takeNext(); item; item = line.takeNext()) names.push(item.name);
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

  test('people go before background work, which still gets one slot in ten', () => {
    const line = new WaitingLine<Item>();
    for (let i = 0; i < 3; i += 1) line.add(background('drain', `drain${i}`));
    for (let i = 0; i < 25; i += 1) line.add(person('a', `a${i}`));
    const names = takeAll(line);
    expect(names.indexOf('drain0')).toBe(9);
    expect(names.indexOf('drain1')).toBe(19);
    expect(names.indexOf('drain2')).toBe(27);
  });

  test('who has left is not called', () => {
    const line = new WaitingLine<Item>();
    const leaving = person('a', 'a1');
    line.add(leaving);
    line.add(person('a', 'a2'));
    expect([line.remove(leaving), line.remove(leaving), line.size]).toEqual([true, false, 1]);
    expect(takeAll(line)).toEqual(['a2']);
  });

  test('whatever comes, everyone is called once and no ten in a row pass over waiting background work', () => {
    const items = fc.array(
      fc.record({
        callerId: fc.constantFrom('a', 'b', 'c'),
        priority: fc.constantFrom('person', 'background'),
      }),
    );
    fc.assert(
      fc.property(items, (waiting) => {
        const line = new WaitingLine<Item>();
        waiting.forEach((item, index) => line.add({ ...item, name: String(index) }));
        let backgroundLeft = waiting.filter((item) => item.priority === 'background').length;
        let peopleInARow = 0;
        const called = new Set<string>();
        for (let item = line.takeNext(); item; item = line.takeNext()) {
          called.add(item.name);
          if (item.priority === 'background') backgroundLeft -= 1;
          peopleInARow = item.priority === 'person' && backgroundLeft > 0 ? peopleInARow + 1 : 0;
          expect(peopleInARow).toBeLessThan(10);
        }
        expect([called.size, line.size]).toEqual([waiting.length, 0]);
      }),
    );
  });
});
