const PREFIX = 'The formula for filtering records is invalid: ';

/** A formula refused before it ran. The message is the one the upstream gives with `INVALID_FILTER_BY_FORMULA`. */
export class FormulaError extends Error {
  override readonly name = 'FormulaError';

  /** Syntax, wrong number of arguments, too long or too deep. */
  static syntax(): FormulaError {
    return new FormulaError(`${PREFIX}Invalid formula. Please check your formula text.`);
  }

  static unknownFunctions(names: readonly string[]): FormulaError {
    return new FormulaError(`${PREFIX}Unknown function names: ${lowerCased(names)}`);
  }

  /** For the caller that knows the table: `formula.fieldReferences` that name no field of it, all of them. */
  static unknownFields(names: readonly string[]): FormulaError {
    return new FormulaError(`${PREFIX}Unknown field names: ${lowerCased(names)}`);
  }
}

/** Integrators saw the names come back in lower case. */
function lowerCased(names: readonly string[]): string {
  return names.map((name) => name.toLowerCase()).join(', ');
}
