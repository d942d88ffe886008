import { beforeEach, expect, test } from '@jest/globals';
import {
  DeliveryLanes,
  maxTakenPerTrigger,
  sharedPlaces,
} from '../../../src/automation/triggers/delivery-lanes.ts';

interface Delivery {
  triggerId: string;
}

let now: number;
let lanes: DeliveryLanes<Delivery>;

beforeEach(() => {
  now = 0;
  lanes = new DeliveryLanes(() => now);
});

const offered = (...ids: string[]): number[] => ids.map((id) => lanes.offer(ids).get(id) ?? 0);

/** Takes as much as is offered. @returns what may be begun of it */
function take(...ids: string[]): Delivery[] {
  return [...lanes.offer(ids)].flatMap(([triggerId, count]) => {
    for (let place = 0; place < count; place += 1) lanes.add({ triggerId });
    return begin(triggerId);
  });
}

function begin(triggerId: string): Delivery[] {
  const begun: Delivery[] = [];
  for (let one = lanes.next(triggerId); one; one = lanes.next(triggerId)) begun.push(one);
  return begun;
}

/** @returns what was given up by it */
function end(delivery: Delivery, wasTaken: boolean): Delivery[] {
  const abandoned = lanes.ended(delivery, wasTaken);
  for (const one of [delivery, ...abandoned]) lanes.left(one);
  return abandoned;
}

/** Endpoints that have just taken a delivery. */
function quick(count: number, name = 'trigger'): string[] {
  const ids = Array.from({ length: count }, (_, index) => `${name} ${index}`);
  for (const delivery of take(...ids)) end(delivery, true);
  return ids;
}

test('one that is not known has one at a time', () => {
  expect(offered('a')).toEqual([1]);
  take('a');
  expect(offered('a')).toEqual([0]);
});

test('one that took its last has ten at a time, and more in hand', () => {
  const [a] = quick(1) as [string];
  expect(offered(a)).toEqual([maxTakenPerTrigger]);
  const begun = take(a);
  expect(begun).toHaveLength(10);
  expect(begin(a)).toEqual([]);
  end(begun[0]!, true);
  expect(begin(a)).toHaveLength(1);
});

test('a failure gives up what was not begun, and has it go on one by one', () => {
  const [a] = quick(1) as [string];
  const begun = take(a);
  expect(end(begun.shift()!, false)).toHaveLength(maxTakenPerTrigger - 10);
  expect(begin(a)).toEqual([]);
  expect(offered(a)).toEqual([0]);
  for (const delivery of begun) end(delivery, false);
  expect(offered(a)).toEqual([1]);
});

test('so does slowness, until all that was slow has been answered', () => {
  const [a] = quick(1) as [string];
  const [slow, ...others] = take(a);
  for (const delivery of others) end(delivery, true);
  begin(a);
  expect(lanes.abandonSlow()).toEqual([]);
  now += 1_000;
  expect(lanes.abandonSlow()).not.toEqual([]);
  expect(offered(a)).toEqual([0]);
  expect(begin(a)).toEqual([]);
  end(slow!, true);
  expect(lanes.offer([a]).get(a) ?? 0).toBe(0);
});

test('whoever holds the shared places, each other has one of its own', () => {
  const greedy = quick(2 * Math.ceil(sharedPlaces / maxTakenPerTrigger));
  take(...greedy);
  const late = ['late', 'later'];
  expect(offered(...late)).toEqual([1, 1]);
  for (const delivery of take(...late)) end(delivery, true);
  // Even so they have that one, and nothing beside it.
  expect(offered(...late)).toEqual([1, 1]);
});

test('endpoints that hang suddenly leave most of the shared places to the others', () => {
  const hanging = quick(5);
  take(...hanging);
  now += 1_000;
  for (const given of lanes.abandonSlow()) lanes.left(given);
  const others = quick(20, 'healthy');
  const total = offered(...others).reduce((sum, count) => sum + count);
  expect(total).toBe(others.length + sharedPlaces - hanging.length * 9);
});

test('shared places are shared evenly', () => {
  const ids = quick(10);
  expect(offered(...ids)).toEqual(Array(10).fill(1 + sharedPlaces / 10));
});

test('an endpoint is forgotten when it has had nothing to do for a minute', () => {
  const [a] = quick(1) as [string];
  now += 61_000;
  lanes.forgetIdle();
  expect(offered(a)).toEqual([1]);
});
