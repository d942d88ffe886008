import { activityKinds, hourMs, incidentKinds, minuteMs } from './activity-kind.ts';
import type { ActivityKind, IncidentKind } from './activity-kind.ts';

/** Hours of connections, and likewise minutes, that wait to be stored; what would be one more is not counted. */
const maxPending = 10_000;

export interface HourCounts {
  connectionId: number;
  /** When it begins, in milliseconds since the epoch. */
  hour: number;
  counts: Record<ActivityKind, number>;
}

export interface MinuteCount {
  connectionId: number;
  kind: IncidentKind;
  /** When it begins, in milliseconds since the epoch. */
  minute: number;
  count: number;
}

/** What was counted and is not stored yet. */
export class ActivityCounts {
  readonly #hours = new Map<string, HourCounts>();
  readonly #minutes = new Map<string, MinuteCount>();
  /** What there was no room for. */
  dropped = 0;

  get isEmpty(): boolean {
    return this.#hours.size === 0;
  }

  /** @param at milliseconds since the epoch */
  add(connectionId: number, kind: ActivityKind, at: number): void {
    const counted = this.#addToHour(connectionId, kind, Math.floor(at / hourMs) * hourMs, 1);
    if (!counted) this.dropped += 1;
    else if (isIncident(kind))
      this.#addToMinute({ connectionId, kind, minute: Math.floor(at / minuteMs) * minuteMs, count: 1 });
  }

  hours(): HourCounts[] {
    return [...this.#hours.values()];
  }

  minutes(): MinuteCount[] {
    return [...this.#minutes.values()];
  }

  /** Adds what could not be stored to what was counted meanwhile. */
  addAll(others: ActivityCounts): void {
    this.dropped += others.dropped;
    for (const { connectionId, hour, counts } of others.hours()) {
      for (const kind of activityKinds) {
        if (counts[kind] === 0) continue;
        if (!this.#addToHour(connectionId, kind, hour, counts[kind])) this.dropped += counts[kind];
      }
    }
    for (const minute of others.minutes()) this.#addToMinute(minute);
  }

  #addToHour(connectionId: number, kind: ActivityKind, hour: number, count: number): boolean {
    const key = `${connectionId} ${hour}`;
    let known = this.#hours.get(key);
    if (!known) {
      if (this.#hours.size >= maxPending) return false;
      known = { connectionId, hour, counts: { ...none } };
      this.#hours.set(key, known);
    }
    known.counts[kind] += count;
    return true;
  }

  #addToMinute(one: MinuteCount): void {
    const key = `${one.connectionId} ${one.kind} ${one.minute}`;
    const known = this.#minutes.get(key);
    if (known) known.count += one.count;
    else if (this.#minutes.size < maxPending) this.#minutes.set(key, { ...one });
  }
}

const none = Object.fromEntries(activityKinds.map((kind) => [kind, 0])) as Record<ActivityKind, number>;

function isIncident(kind: ActivityKind): kind is IncidentKind {
  return (incidentKinds as readonly ActivityKind[]).includes(kind);
}
