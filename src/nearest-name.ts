/** Names beyond this many are not compared: a suggestion is a courtesy, not worth a slow error. */
const maxNames = 2_000;
/** Longer names are not compared either, in characters. */
const maxLength = 200;

/** The name that a misspelt one most likely meant, or null when none is near. Case does not count as a difference. */
export function nearestName(wanted: string, names: Iterable<string>): string | null {
  if (wanted.length > maxLength) return null;
  const target = wanted.toLowerCase();
  let best: string | null = null;
  let bestDistance = Math.min(wanted.length, Math.max(1, Math.floor(wanted.length / 3)) + 1);
  let compared = 0;
  for (const name of names) {
    if ((compared += 1) > maxNames) break;
    if (Math.abs(name.length - wanted.length) >= bestDistance || name.length > maxLength) continue;
    const distance = editDistance(target, name.toLowerCase());
    if (distance < bestDistance) [best, bestDistance] = [name, distance];
  }
  return best;
}

/** " Did you mean "Name"?", or nothing. To be put behind a message. */
export function suggestion(wanted: string, names: Iterable<string>): string {
  const near = nearestName(wanted, names);
  return near === null ? '' : ` Did you mean ${JSON.stringify(near)}?`;
}

/** Insertions, deletions, replacements and swaps of neighbours each count one. */
function editDistance(a: string, b: string): number {
  let twoBack: number[] = [];
  let oneBack = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row += 1) {
    const current = [row];
    for (let column = 1; column <= b.length; column += 1) {
      const same = a[row - 1] === b[column - 1] ? 0 : 1;
      let least = Math.min(oneBack[column]! + 1, current[column - 1]! + 1, oneBack[column - 1]! + same);
      if (row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1]) {
        least = Math.min(least, twoBack[column - 2]! + 1);
      }
      current.push(least);
    }
    [twoBack, oneBack] = [oneBack, current];
  }
  return oneBack[b.length]!;
}
