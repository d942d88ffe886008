import { AppError } from '../errors.ts';
import { requireId } from './ids.ts';

/**
 * Whether a raw line break or another control character may stand inside a literal is not documented, and half a
 * surrogate pair does not survive being sent at all.
 */
const unsafeCharacter = /[\p{Cc}\p{Zl}\p{Zp}\p{Cs}]/u;

/**
 * Any text as a string literal that the text cannot break out of: first the backslash, then the quote is escaped.
 * @throws AppError FILTER_NOT_EXACT for characters that a literal can't be known to carry unchanged.
 */
export function stringLiteral(text: string): string {
  if (unsafeCharacter.test(text)) {
    throw new AppError(
      'FILTER_NOT_EXACT',
      'A text with line breaks, tabs or other control characters cannot be compared exactly. Compare a part of it without them.',
    );
  }
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}

/** A number without an exponent, which the language is not documented to know. The text reads back as the same number. */
export function numberLiteral(value: number): string {
  if (!Number.isFinite(value)) throw new RangeError(`${value} has no literal`);
  const [, sign = '', whole = '', fraction = '', exponent] =
    /^(-?)(\d+)(?:\.(\d+))?(?:e([+-]\d+))?$/.exec(String(value)) ?? [];
  if (exponent === undefined) return String(value);
  const digits = whole + fraction;
  const point = whole.length + Number(exponent);
  if (point <= 0) return `${sign}0.${'0'.repeat(-point)}${digits}`;
  return `${sign}${digits.padEnd(point, '0')}`;
}

/** A reference by id, which a renamed field and a brace in a name cannot break. */
export function fieldReference(fieldId: string): string {
  return `{${requireId('fld', fieldId)}}`;
}

/** True for exactly these records. There is no endpoint for many records by id; this formula is the documented way. */
export function recordIdsFormula(ids: readonly string[]): string {
  return `OR(${ids.map((id) => `RECORD_ID()='${requireId('rec', id)}'`).join(',')})`;
}
