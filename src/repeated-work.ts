/** Runs one piece of work again and again, never twice at once, until it is closed. */
export class RepeatedWork {
  readonly #run: () => Promise<void>;
  readonly #everyMs: number;
  readonly #onFailure: (error: unknown) => void;
  #timer: NodeJS.Timeout | undefined;
  #working: Promise<void> = Promise.resolve();
  #isRunning = false;
  #again = false;
  #isClosed = false;

  constructor(work: {
    run: () => Promise<void>;
    /** Pause between two runs. */
    everyMs: number;
    onFailure: (error: unknown) => void;
  }) {
    this.#run = work.run;
    this.#everyMs = work.everyMs;
    this.#onFailure = work.onFailure;
  }

  start(): void {
    this.#schedule(0);
  }

  /** For whoever has just made something to do. */
  soon(): void {
    if (this.#isRunning) this.#again = true;
    else this.#schedule(0);
  }

  /** Lets a run under way end. */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    await this.#working;
  }

  #schedule(delayMs: number): void {
    clearTimeout(this.#timer);
    if (this.#isClosed) return;
    this.#timer = setTimeout(() => {
      this.#isRunning = true;
      this.#again = false;
      this.#working = this.#run()
        .catch(this.#onFailure)
        .then(() => {
          this.#isRunning = false;
          this.#schedule(this.#again ? 0 : this.#everyMs);
        });
    }, delayMs);
  }
}
