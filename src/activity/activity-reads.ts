import DataLoader from 'dataloader';
import { AppError } from '../errors.ts';
import { activityKinds, hourMs, type ActivityKind } from './activity-kind.ts';
import type { ActivityLog } from './activity-log.ts';
import type { Alert, Alerts } from './alerts.ts';

/** Hours and alerts that one operation gives, counted at every place where they stand. */
const maxPerOperation = 50_000;

/** Alerts that stand beside the hours of one connection. */
export const maxAlertsBeside = 20;

export type Hour = { hour: Date } & Record<ActivityKind, number>;

/** What one operation reads: one statement for all its connections, and the same present for all. */
export class ActivityReads {
  readonly #log: ActivityLog;
  readonly #alerts: Alerts;
  readonly now: number;
  readonly #hoursSince = new Map<number, DataLoader<number, Hour[]>>();
  readonly #alertsSince = new Map<number, DataLoader<number, Alert[]>>();
  #left = maxPerOperation;

  constructor(deps: { log: ActivityLog; alerts: Alerts; now: number }) {
    this.#log = deps.log;
    this.#alerts = deps.alerts;
    this.now = deps.now;
  }

  /** When the first of so many hours begins, the present one being the last. */
  start(count: number): number {
    return (Math.floor(this.now / hourMs) + 1 - count) * hourMs;
  }

  /** Every hour, oldest first; those without counts are all zeros. @throws AppError TOO_MANY */
  async hours(connectionId: number, count: number): Promise<Hour[]> {
    this.#take(count);
    const start = this.start(count);
    const loader = of(this.#hoursSince, start, () => this.#hourLoader(start));
    const found = new Map((await loader.load(connectionId)).map((one) => [one.hour.getTime(), one]));
    return Array.from({ length: count }, (_, index) => {
      const hour = start + index * hourMs;
      return found.get(hour) ?? { ...none, hour: new Date(hour) };
    });
  }

  /** The newest alerts of these hours, newest first. @throws AppError TOO_MANY */
  async alerts(connectionId: number, count: number): Promise<Alert[]> {
    const start = this.start(count);
    const loader = of(this.#alertsSince, start, () => this.#alertLoader(start));
    const alerts = await loader.load(connectionId);
    this.#take(alerts.length);
    return alerts;
  }

  #hourLoader(start: number): DataLoader<number, Hour[]> {
    return new DataLoader(async (ids) => grouped(ids, await this.#log.hours(ids, new Date(start))));
  }

  #alertLoader(start: number): DataLoader<number, Alert[]> {
    return new DataLoader(async (ids) =>
      grouped(ids, await this.#alerts.since(ids, new Date(start), maxAlertsBeside)),
    );
  }

  #take(count: number): void {
    if (count > this.#left) {
      throw new AppError(
        'TOO_MANY',
        `One operation gives at most ${maxPerOperation} hours and alerts, counted at every place where they stand. Ask for fewer connections, or a shorter "last".`,
        { details: { max: maxPerOperation } },
      );
    }
    this.#left -= count;
  }
}

/** The sum of hours, by what is counted. */
export function sumOf(hours: readonly Hour[]): Record<ActivityKind, number> {
  const sum = { ...none };
  for (const hour of hours) for (const kind of activityKinds) sum[kind] += hour[kind];
  return sum;
}

const none = Object.fromEntries(activityKinds.map((kind) => [kind, 0])) as Record<ActivityKind, number>;

function grouped<Row extends { connectionId: number }>(ids: readonly number[], rows: Row[]): Row[][] {
  const byId = new Map<number, Row[]>(ids.map((id) => [id, []]));
  for (const row of rows) byId.get(row.connectionId)?.push(row);
  return ids.map((id) => byId.get(id) ?? []);
}

function of<Key, Value>(map: Map<Key, Value>, key: Key, make: () => Value): Value {
  const known = map.get(key);
  if (known !== undefined) return known;
  const made = make();
  map.set(key, made);
  return made;
}
