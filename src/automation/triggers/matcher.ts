import type { DataSource, EntityManager } from 'typeorm';
import { toldAs } from '../../changes/change-filter.ts';
import { isPruned } from '../../changes/change-log.ts';
import type { FeedReader } from '../../changes/feed-reader.ts';
import type { LogEntry } from '../../changes/log-entry.ts';
import type { LogPage } from '../../changes/log-page.ts';
import { comparePositions, type Position } from '../../changes/position.ts';
import type { Clock } from '../../clock.ts';
import type { Logger } from '../../logger.ts';
import { Turns } from '../../turns.ts';
import { deliveriesToInsert, insertion } from './delivery-queue.ts';
import { changeEvent, lossEvent, type TriggerEvent } from './event.ts';
import { afterSchemaChange, type Misfit } from './trigger-misfit.ts';
import { maxChainLength, type TriggerWrites } from './trigger-writes.ts';
import { changeFilterOf, triggerColumns, triggerFromRow, type Trigger, type TriggerRow } from './trigger.ts';

/** Deliveries of one trigger that wait. Beyond it the trigger reads no further: the log holds the rest. */
export const maxWaiting = 10_000;

/** Triggers that read the log at once, per process. Each holds a connection: all at once would leave none to anybody else. */
const maxAtATime = 3;

export interface MatcherDeps {
  database: DataSource;
  writes: TriggerWrites;
  clock: Clock;
  logger: Logger;
  /** Told when there is something new to deliver. */
  onQueued: (triggerId: string, count: number) => void;
}

/**
 * Makes deliveries of changes. A trigger remembers how far it has read the log of its feed; reading on, judging what is
 * there, storing deliveries and moving that position is one transaction under the lock of the trigger's row. So each
 * change becomes exactly one delivery, whoever dies and however many instances are at it. The lock is waited for, not
 * passed over: who comes second finds what the first has left, which may be what it was woken for.
 */
export class Matcher {
  readonly #deps: MatcherDeps;
  readonly #running = new Map<string, { promise: Promise<void>; again: boolean }>();
  readonly #turns = new Turns(maxAtATime);
  #isClosed = false;

  constructor(deps: MatcherDeps) {
    this.#deps = deps;
  }

  /** Reads on in the background. Calls while that is under way have it look once more. */
  kick(triggerId: string, reader: FeedReader): void {
    if (this.#isClosed) return;
    const running = this.#running.get(triggerId);
    if (running) {
      running.again = true;
      return;
    }
    const state = { promise: Promise.resolve(), again: false };
    this.#running.set(triggerId, state);
    state.promise = this.#run(triggerId, reader, state)
      .catch((error: unknown) =>
        this.#deps.logger.warn(
          { err: error, trigger: triggerId },
          'a trigger could not read the log; it will be tried again',
        ),
      )
      .finally(() => this.#running.delete(triggerId));
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all([...this.#running.values()].map(({ promise }) => promise));
  }

  async #run(triggerId: string, reader: FeedReader, state: { again: boolean }): Promise<void> {
    do {
      state.again = false;
      if (await this.#turns.take(() => this.#matchPage(triggerId, reader))) state.again = true;
    } while (state.again && !this.#isClosed);
  }

  /** @returns whether there may be more to read now */
  async #matchPage(triggerId: string, reader: FeedReader): Promise<boolean> {
    // What is further back than memory is read before its transaction: that would keep a connection while it waits for one.
    for (let read: PageAfter | null = null; ;) {
      const outcome = await this.#matchOnce(triggerId, reader, read);
      if (!('wanted' in outcome)) {
        if (outcome.queued > 0) this.#deps.onQueued(triggerId, outcome.queued);
        return outcome.isFull;
      }
      read = { after: outcome.wanted, page: await reader.read(outcome.wanted) };
    }
  }

  /** @returns also where it has to be read from first, unless that is in memory or in `ahead` */
  async #matchOnce(
    triggerId: string,
    reader: FeedReader,
    ahead: PageAfter | null,
  ): Promise<Matched | { wanted: Position }> {
    const { database, clock } = this.#deps;
    return database.transaction(async (sql) => {
      const locked = await lockTrigger(sql, triggerId);
      if (!locked || locked.trigger.feedId !== reader.feed.id) return nothing;
      const { trigger, room } = locked;
      if (room <= 0) return nothing;
      const isAhead = ahead !== null && comparePositions(ahead.after, trigger.position) === 0;
      if (!isAhead && !reader.keeps(trigger.position)) return { wanted: trigger.position };
      const page = isAhead ? ahead.page : await reader.read(trigger.position);
      const events: TriggerEvent[] = [];
      let { position } = trigger;
      if (isPruned(position, page.pruned)) {
        position = page.pruned;
        events.push(this.#prunedEvent(trigger, position, page.prunedUntil, reader));
      }
      const read = await this.#eventsOf(sql, trigger, page.entries, room - events.length, reader.feed.key);
      events.push(...read.events);
      // An action can make nothing of a loss; that there was one is seen among the deliveries.
      if (trigger.action) for (const event of events) if (event.type === 'changes.lost') event.stopped = {};
      position = read.upTo ?? position;
      if (position === trigger.position && !read.misfit) return nothing;
      const queued = deliveriesToInsert(triggerId, events, new Date(clock.now()));
      await moveOn(sql, queued, position, read);
      return { queued: events.length, isFull: page.hasMore && !read.misfit };
    });
  }

  #prunedEvent(
    trigger: Trigger,
    position: Position,
    prunedUntil: Date | null,
    { feed }: FeedReader,
  ): TriggerEvent {
    const until = prunedUntil ?? new Date(this.#deps.clock.now());
    const loss = { reason: 'cursor_pruned' as const, since: null, until: until.toISOString() };
    return lossEvent(loss, position, until, { trigger, feedKey: feed.key });
  }

  /** What of a page concerns a trigger, up to as many as there is room for, how far that goes, and what is left of it. */
  async #eventsOf(
    sql: EntityManager,
    trigger: Trigger,
    entries: readonly LogEntry[],
    room: number,
    feedKey: string,
  ): Promise<ReadEntries> {
    const filter = changeFilterOf(trigger);
    const origin = { trigger, feedKey };
    const events: TriggerEvent[] = [];
    let { fieldIds } = trigger;
    let upTo: Position | null = null;
    for (const entry of entries) {
      if (events.length >= room) break;
      if (entry.kind === 'schema') {
        const left = afterSchemaChange(entry, { ...trigger, fieldIds }, filter);
        // In front of it, so that it is judged again by what the trigger is given.
        if (left.misfit) return { events, upTo, ...left };
        ({ fieldIds } = left);
      } else if (entry.kind === 'lost')
        events.push(lossEvent(entry.loss, entry.position, entry.occurredAt, origin));
      else {
        const told = toldAs(entry, filter);
        const event = told && changeEvent(entry, told === 'left', origin);
        if (event && trigger.action) {
          const chain = await this.#deps.writes.chainBehind(sql, entry, trigger);
          if (chain === 'wait') break;
          Object.assign(event, { chain, stopped: loopIn(chain, trigger) });
        }
        if (event) events.push(event);
      }
      upTo = entry.position;
    }
    return { events, upTo, misfit: null, fieldIds };
  }
}

interface PageAfter {
  after: Position;
  page: LogPage;
}

/** How many events a page gave, and whether there may be more to read. */
interface Matched {
  queued: number;
  isFull: boolean;
}

const nothing: Matched = { queued: 0, isFull: false };

interface ReadEntries {
  events: TriggerEvent[];
  upTo: Position | null;
  misfit: Misfit | null;
  /** What is left of the fields that the trigger watches. */
  fieldIds: string[] | null;
}

function loopIn(chain: readonly string[], { id }: Trigger): TriggerEvent['stopped'] {
  const code = 'AUTOMATION_LOOP';
  if (chain.includes(id)) {
    const others = chain.length > 1 ? `, through ${chain.length - 1} other triggers,` : '';
    return {
      code,
      message: `The action of this trigger${others} made the very change that would have set it off again. Give it "fields" or a "filter" that its own change does not pass.`,
    };
  }
  if (chain.length < maxChainLength) return null;
  return {
    code,
    message: `${maxChainLength} triggers have set each other off to make this change, which is the limit.`,
  };
}

/** @returns the trigger if it runs, and for how many more deliveries there is room */
async function lockTrigger(
  sql: EntityManager,
  triggerId: string,
): Promise<{ trigger: Trigger; room: number } | null> {
  const [found] = await sql.query<(TriggerRow & { waiting: string })[]>(
    `SELECT ${triggerColumns}, (
       SELECT count(*) FROM (
         SELECT 1 FROM trigger_deliveries WHERE trigger_id = $1 AND status = 'WAITING' LIMIT $2) AS those) AS waiting
     FROM triggers AS t WHERE t.id = $1 AND t.state = 'active' FOR UPDATE`,
    [triggerId, maxWaiting],
  );
  if (!found) return null;
  const { waiting, ...row } = found;
  return { trigger: triggerFromRow(row), room: maxWaiting - Number(waiting) };
}

/** Stores deliveries and how far the log has been read for them. @param queued what `insertion` takes */
async function moveOn(
  sql: EntityManager,
  queued: unknown[],
  { generation, payload, ordinal }: Position,
  { misfit, fieldIds }: Pick<ReadEntries, 'misfit' | 'fieldIds'>,
): Promise<void> {
  await sql.query(
    `WITH queued AS (${insertion})
     UPDATE triggers SET generation = $11, payload = $12, ordinal = $13, field_ids = $14::text[],
            state = CASE WHEN $15::text IS NULL THEN state ELSE 'paused' END,
            paused_because = coalesce($15, paused_because), problem = coalesce($16, problem)
     WHERE id = $1`,
    [...queued, generation, payload, ordinal, fieldIds, misfit?.because ?? null, misfit?.problem ?? null],
  );
}
