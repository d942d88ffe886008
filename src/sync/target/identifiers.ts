/** What PostgreSQL keeps of a name, in bytes. */
const maxNameBytes = 63;

/** Any name as an identifier that it can not break out of. */
export function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** Any text as a literal that it can not break out of. */
export function literal(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

export function quotedTable({
  targetSchema,
  targetTable,
}: {
  targetSchema: string;
  targetTable: string;
}): string {
  return `${quoted(targetSchema)}.${quoted(targetTable)}`;
}

/**
 * A name for people who write SQL without quotes: lower case, letters, digits and single underscores, none at its ends
 * (so names that begin with one are ours). May be empty.
 */
export function plainName(text: string): string {
  const name = text
    .normalize('NFC')
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]+/gu, '_')
    .replace(/^_+|_+$/g, '');
  return /^\p{N}/u.test(name) ? `n${name}` : name;
}

/** The name itself or, where it is taken, with the first number behind it that makes it free; at most 63 bytes. */
export function freeName(wanted: string, isTaken: (name: string) => boolean): string {
  for (let number = 1; ; number += 1) {
    const suffix = number === 1 ? '' : `_${number}`;
    const name = cutToBytes(wanted, maxNameBytes - suffix.length) + suffix;
    if (!isTaken(name)) return name;
  }
}

/** Whole characters only. */
function cutToBytes(text: string, maxBytes: number): string {
  let cut = text;
  while (Buffer.byteLength(cut) > maxBytes) cut = [...cut].slice(0, -1).join('');
  return cut;
}
