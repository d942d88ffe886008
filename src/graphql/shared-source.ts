/** One event of a source that subscribers share. */
export interface SourceEvent<Event = unknown> {
  /** What the subscription field resolves. */
  event: Event;
  /** Where whoever has been told it stands. */
  place: string;
  /** Names it for clients that resume by themselves: the id of a server-sent event. */
  id: string;
  /** It only says where the subscriber stands, and may be told again at the same place. */
  onlyPlace: boolean;
}

/** Events that are there already and are executed together; there may be none. */
export interface SourceStep<Event = unknown> {
  events: SourceEvent<Event>[];
  /** Whoever has been told them stands here. */
  place: string;
  /** With it, the stream ends for everybody: it is told behind the events, and nothing after it. */
  last?: { event: Event } | undefined;
}

/**
 * A source whose events are the same for everybody. Places are texts that stand in the order of the events; a place has
 * one meaning for all sources with the same key, so that subscribers may go on in each other's stream.
 */
export interface Source<Event = unknown> {
  /** All that decides which events there are after a place. */
  key: string;
  /** Name of the argument that says where a subscriber begins. It has no part in what the events say. */
  placeArgument: string;
  /** Where this subscriber begins. */
  start: string;
  /** Where the source has come to. */
  head: string;
  /** The first thing that a subscriber is told. */
  greeting: () => SourceEvent<Event>;
  /**
   * All steps after a place, as they are asked for, then as they come; a step without events says that its place has been
   * reached. Ends when the signal is given, or behind a step with a last event; never fails.
   */
  stream: (after: string, signal: AbortSignal) => AsyncIterable<SourceStep<Event>>;
  /** Calls back when this subscriber can be told nothing more but one last event. */
  onEnd: (end: (last: Event) => void) => void;
  /** Called once, when the subscriber is gone. */
  close: () => void;
}

/** What a subscription field returns so that its subscribers share what they are told. It is read by its steps only. */
export class SharedSource {
  readonly source: Source;

  constructor(source: Source) {
    this.source = source;
  }

  [Symbol.asyncIterator](): never {
    throw new Error('A shared source is read in steps.');
  }
}

/** For subscription fields, which promise their events one by one. */
export function shared<Event>(source: Source<Event>): AsyncIterable<Event> {
  return new SharedSource(source);
}
