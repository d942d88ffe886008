/** True if two JSON values are written the same; cells are, when they hold the same, because they are made the same way. */
export function sameJson(a: unknown, b: unknown): boolean {
  return a === b || JSON.stringify(a) === JSON.stringify(b);
}
