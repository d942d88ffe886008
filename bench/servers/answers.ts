interface Question {
  question: number;
  what: string;
  given: unknown;
}

/** Answers what the benchmark asks of this process beside the load: see `Child.ask`. */
export function answer(answers: Record<string, (given: unknown) => unknown>): void {
  process.on('message', (message: Partial<Question>) => {
    const { question, what } = message;
    const find = what === undefined ? undefined : answers[what];
    if (!find) return;
    Promise.resolve()
      .then(() => find(message.given))
      .then(
        (result) => process.send?.({ question, result: result ?? null }),
        (error: unknown) => process.send?.({ question, fault: String(error) }),
      );
  });
}
