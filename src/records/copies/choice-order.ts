import { isObject } from '../../calendly/cell-values.ts';
import type { FieldSchema } from '../../bases/table-schema.ts';

/** A choice of a select. */
export interface Choice {
  id: string;
  name: string;
}

const known = new WeakMap<FieldSchema, readonly Choice[] | null>();

/** The choices of a select in their order, which is that of its cells; null where the upstream does not tell all of it. */
export function choicesOf(field: FieldSchema): readonly Choice[] | null {
  let choices = known.get(field);
  if (choices === undefined) known.set(field, (choices = readChoices(field.options?.choices)));
  return choices;
}

function readChoices(told: unknown): Choice[] | null {
  if (!Array.isArray(told)) return null;
  const choices = told.flatMap((choice: unknown) =>
    isObject(choice) && typeof choice.id === 'string' && typeof choice.name === 'string'
      ? [{ id: choice.id, name: choice.name }]
      : [],
  );
  return choices.length === told.length ? choices : null;
}
