/** In JSON, what jsonb cannot store (a zero character, half of a surrogate pair) and, to be passed over, `\\`. */
const unstorable = /\\(\\|u0000|ud[89a-f][0-9a-f]{2})/g;

/**
 * JSON that PostgreSQL takes as jsonb: characters that it refuses become U+FFFD, since one of them in one cell would
 * otherwise stop a whole feed.
 */
export function jsonText(value: unknown, replacer?: (key: string, value: unknown) => unknown): string {
  const text = JSON.stringify(value, replacer);
  // Hardly any has one, and to look for this alone is many times quicker.
  if (!text.includes('\\')) return text;
  return text.replace(unstorable, (found, rest: string) => (rest === '\\' ? found : '\\ufffd'));
}
