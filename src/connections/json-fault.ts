/** Where a text stops being JSON, counted from 1, and what should stand there. Nothing of the text itself: it may be secret. */
export interface JsonFault {
  line: number;
  column: number;
  expected: string;
}

const space = /[ \t\n\r]*/y;
const token =
  /[{}[\],:]|"(?:[^"\\\p{Cc}]|[\u007f-\u009f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/uy;

type Expected = 'value' | 'value or end' | 'key' | 'key or end' | 'colon' | 'comma or end';

/** An object with the keys that it has so far, or a list. */
type Open = { end: '}'; keys: Set<string> } | { end: ']'; keys: null };

/**
 * The first fault of a text that should be JSON, a key that stands twice in one object included; null when there is
 * none. `JSON.parse` passes over the last one of these, quotes the text, and does not always tell the place.
 */
export function findJsonFault(text: string): JsonFault | null {
  const open: Open[] = [];
  let expected: Expected = 'value';
  let at = 0;
  for (;;) {
    at = endOf(space, text, at);
    const end = endOf(token, text, at);
    const found = text.slice(at, end);
    const inner = open.at(-1);
    if (at === text.length && expected === 'comma or end' && !inner) return null;
    const isKey: boolean = found.startsWith('"') && (expected === 'key' || expected === 'key or end');
    const key = isKey ? (JSON.parse(found) as string) : '';
    if (isKey && inner?.keys?.has(key)) return faultAt(text, at, 'another key: this one stands here twice');

    const next: Expected | null = isKey ? 'colon' : after(found, expected, inner);
    if (next === null) return faultAt(text, at, wordsFor(expected, inner));
    if (isKey) inner?.keys?.add(key);
    else if (found === '{') open.push({ end: '}', keys: new Set() });
    else if (found === '[') open.push({ end: ']', keys: null });
    else if (found === '}' || found === ']') open.pop();
    expected = next;
    at = end;
  }
}

/** What may follow a token, other than a key, that stands where `expected` was; null when it must not stand there. */
function after(found: string, expected: Expected, inner: Open | undefined): Expected | null {
  if (found === inner?.end && expected.endsWith('or end')) return 'comma or end';
  switch (expected) {
    case 'value':
    case 'value or end':
      if (found === '{') return 'key or end';
      if (found === '[') return 'value or end';
      return found === '' || /^[}\],:]$/.test(found) ? null : 'comma or end';
    case 'colon':
      return found === ':' ? 'value' : null;
    case 'comma or end':
      if (found !== ',' || !inner) return null;
      return inner.keys ? 'key' : 'value';
    case 'key':
    case 'key or end':
      return null;
  }
}

function wordsFor(expected: Expected, inner: Open | undefined): string {
  if (expected === 'comma or end') return inner ? `a comma or ${inner.end}` : 'the end of the file';
  if (expected === 'colon') return 'a colon';
  const what = expected.startsWith('key') ? 'a key in double quotes' : 'a value, text in double quotes';
  return expected.endsWith('or end') && inner ? `${what}, or ${inner.end}` : what;
}

function endOf(pattern: RegExp, text: string, at: number): number {
  pattern.lastIndex = at;
  return pattern.test(text) ? pattern.lastIndex : at;
}

function faultAt(text: string, at: number, expected: string): JsonFault {
  const before = text.slice(0, at);
  return { line: before.split('\n').length, column: at - before.lastIndexOf('\n'), expected };
}
