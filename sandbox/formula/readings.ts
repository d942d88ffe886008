/**
 * The rules of the formula language that the upstream's documentation leaves open. Each has two plausible readings; a client
 * is only safe if it holds under both, so each is a switch of its own.
 */
export interface FormulaReadings {
  /** `\n` and `\t` inside a string literal mean newline and tab; otherwise the backslash merely drops away. Read when parsing. */
  controlEscapesInStrings: boolean;
  /** `&` binds tighter than `+` and `-`; otherwise looser, as in spreadsheets. Read when parsing. */
  ampersandBindsTighter: boolean;
  /** `find(...)` is `FIND(...)`; otherwise it is an unknown function. Read when parsing. */
  functionNamesIgnoreCase: boolean;
  /** An empty cell equals 0 and is ordered like 0; otherwise it equals only empty text, and is in no order with anything. */
  blankEqualsZero: boolean;
  /** A number equals the text that spells it; otherwise a number and a text are never equal and in no order. */
  numericTextEqualsNumber: boolean;
  /** Attachments read as `filename (url)`; otherwise as the filename alone. */
  attachmentTextHasUrl: boolean;
  /** A plain link field is an array to the array functions; otherwise its names joined with `, `. */
  linksAreArrays: boolean;
  /** Regular expressions are RE2's: no lookaround, no backreferences; otherwise those work. */
  regexIsRe2: boolean;
  /** LAST_MODIFIED_TIME() of a record never modified is blank; otherwise its creation time. */
  neverModifiedIsBlank: boolean;
  /** TODAY() is midnight in UTC; otherwise midnight in `OTHER_TODAY_ZONE`. */
  todayIsUtc: boolean;
  /** IS_SAME without a unit compares instants; otherwise days. */
  isSameWithoutUnitIsExact: boolean;
}

/** The zone whose midnight TODAY() is when `todayIsUtc` is off. */
export const OTHER_TODAY_ZONE = 'America/Los_Angeles';

export const DEFAULT_FORMULA_READINGS: Readonly<FormulaReadings> = {
  controlEscapesInStrings: true,
  ampersandBindsTighter: false,
  functionNamesIgnoreCase: true,
  blankEqualsZero: true,
  numericTextEqualsNumber: true,
  attachmentTextHasUrl: true,
  linksAreArrays: true,
  regexIsRe2: true,
  neverModifiedIsBlank: true,
  todayIsUtc: true,
  isSameWithoutUnitIsExact: true,
};
