/** The way by which one subscriber's results leave. It takes everything at once, and says when that is enough. */
export interface Outlet {
  /**
   * Puts a result on its way without waiting.
   * @param text the result as JSON
   * @param id names the event for clients that resume by themselves
   */
  send(text: string, id: string | null): void;
  /** More waits in this process than should: whoever sends has to wait for room. */
  readonly isFull: boolean;
  /** Resolves when there is room again, when the way is closed or when the signal is given. Never fails. */
  room(signal: AbortSignal): Promise<void>;
}
