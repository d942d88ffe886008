import { isObject } from '../calendly/cell-values.ts';

/** Names of the choices in the options of a field; null where the upstream does not tell any. */
export function choiceNamesIn(options: unknown): string[] | null {
  const choices: unknown = isObject(options) ? options.choices : undefined;
  if (!Array.isArray(choices)) return null;
  return choices.flatMap((choice: unknown) =>
    isObject(choice) && typeof choice.name === 'string' ? [choice.name] : [],
  );
}
