import { ARRAY_FUNCTIONS } from './arrays.ts';
import { CALENDAR_FUNCTIONS } from './calendar.ts';
import { DATE_FUNCTIONS } from './dates.ts';
import { LOGIC_FUNCTIONS } from './logic.ts';
import { NUMBER_FUNCTIONS } from './numbers.ts';
import { RECORD_FUNCTIONS } from './record.ts';
import { REGEX_FUNCTIONS } from './regex.ts';
import type { FormulaFunction } from './signature.ts';
import { TEXT_FUNCTIONS } from './text.ts';

/** Every function by its upper-case name. What is not here is refused when parsing, never guessed. */
export const FUNCTIONS: ReadonlyMap<string, FormulaFunction> = new Map(
  [
    LOGIC_FUNCTIONS,
    TEXT_FUNCTIONS,
    REGEX_FUNCTIONS,
    ARRAY_FUNCTIONS,
    RECORD_FUNCTIONS,
    DATE_FUNCTIONS,
    CALENDAR_FUNCTIONS,
    NUMBER_FUNCTIONS,
  ].flatMap((functions) => Object.entries(functions)),
);
