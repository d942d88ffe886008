interface Question {
  question: number;
  what: string;
  given: unknown;
}

/** Answers what the benchmark asks of this process beside the load: see `Child.ask`. */
export function answer(given: Record<string, (given: unknown) => unknown>): void {
  const answers = { cpuMs, ...given };
  process.on('message', (message: Partial<Question>) => {
    const { question, what } = message;
    const find = what === undefined ? undefined : (answers as typeof given)[what];
    if (!find) return;
    Promise.resolve()
      .then(() => find(message.given))
      .then(
        (result) => process.send?.({ question, result: result ?? null }),
        (error: unknown) => process.send?.({ question, fault: String(error) }),
      );
  });
}

/** Processor time of this process so far, in milliseconds. */
function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000;
}
