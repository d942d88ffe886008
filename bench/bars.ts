/** What was promised, and what came of it. */
export interface Bar {
  what: string;
  unit: string;
  reached: number;
  atMost?: number;
  atLeast?: number;
}

/** As the bars of the other scenarios are told. */
export function barLines(bars: Bar[]): string {
  return bars
    .map(({ what, unit, reached, atMost, atLeast }) => {
      const holds = reached <= (atMost ?? Infinity) && reached >= (atLeast ?? -Infinity);
      const bound = atMost === undefined ? `≥ ${atLeast}` : `≤ ${atMost}`;
      const digits = reached < 10 ? 3 : 1;
      return `- ${what}: ${bound} ${unit}: ${reached.toFixed(digits)} ${unit}, ${holds ? 'holds' : 'DOES NOT HOLD'}`;
    })
    .join('\n');
}
