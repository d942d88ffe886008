/** What was promised, and what came of it. */
export interface Bar {
  what: string;
  unit: string;
  reached: number;
  atMost?: number;
  atLeast?: number;
}

/** Prints the bars of a scenario as those of the others are told. One that does not hold makes the run a failed one. */
export function reportBars(bars: Bar[]): void {
  const lines = bars.map((bar) => {
    const { what, unit, reached, atMost, atLeast } = bar;
    const bound = atMost === undefined ? `≥ ${atLeast}` : `≤ ${atMost}`;
    const digits = reached < 10 ? 3 : 1;
    return `- ${what}: ${bound} ${unit}: ${reached.toFixed(digits)} ${unit}, ${holds(bar) ? 'holds' : 'DOES NOT HOLD'}`;
  });
  console.log(`\n## Bars\n${lines.join('\n')}`);
  if (!bars.every(holds)) process.exitCode = 1;
}

function holds({ reached, atMost = Infinity, atLeast = -Infinity }: Bar): boolean {
  return reached <= atMost && reached >= atLeast;
}
