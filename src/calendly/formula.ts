import { AppError } from '../errors.ts';
import { requireId } from './ids.ts';

/** Whether a raw line break or another control character may stand inside a literal is not documented. */
const controlCharacter = /\p{Cc}/u;

/**
 * Any text as a string literal that the text cannot break out of: first the backslash, then the quote is escaped.
 * @throws AppError FILTER_NOT_EXACT for control characters, which a literal can't be known to carry unchanged.
 */
export function stringLiteral(text: string): string {
  if (controlCharacter.test(text)) {
    throw new AppError(
      'FILTER_NOT_EXACT',
      'A text with line breaks, tabs or other control characters cannot be compared exactly. Compare a part of it without them.',
    );
  }
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}

/** A reference by id, which a renamed field and a brace in a name cannot break. */
export function fieldReference(fieldId: string): string {
  return `{${requireId('fld', fieldId)}}`;
}

/** True for exactly these records. There is no endpoint for many records by id; this formula is the documented way. */
export function recordIdsFormula(ids: readonly string[]): string {
  return `OR(${ids.map((id) => `RECORD_ID()='${requireId('rec', id)}'`).join(',')})`;
}
