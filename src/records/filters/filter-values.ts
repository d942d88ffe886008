import type { FieldSchema } from '../../bases/table-schema.ts';
import { AppError } from '../../errors.ts';
import { suggestion } from '../../nearest-name.ts';
import { badFilter, type FilterCondition, type FilterValue } from './filter.ts';
import { dayIn, isDayText, isTimeZone, parseDay, parseInstant, type Interval } from './filter-dates.ts';
import { choiceNames } from './filter-kind.ts';

const dayMs = 86_400_000;

/** Choices that a message lists at most. */
const maxNamesTold = 20;

export function textValue(condition: FilterCondition, field: FieldSchema, value: FilterValue): string {
  if (typeof value === 'string') return value;
  throw mismatch(condition, field, 'a text');
}

export function numberValue(condition: FilterCondition, field: FieldSchema, value: FilterValue): number {
  if (typeof value === 'number' && Number.isFinite(value)) return value;
  throw mismatch(condition, field, 'a number, not in quotes');
}

export function booleanValue({ operator, place, value }: FilterCondition): boolean {
  if (typeof value === 'boolean') return value;
  throw badFilter(place, `has to have true or false as "${operator}".`);
}

/** The name that a person goes by. Ids and addresses are not what a formula sees. */
export function nameValue(condition: FilterCondition, field: FieldSchema, value: FilterValue): string {
  const name = textValue(condition, field, value);
  if (!/^(?:usr|ugp)[0-9A-Za-z]{6,}$/.test(name) && !name.includes('@')) return name;
  throw new AppError(
    'FILTER_NOT_EXACT',
    `"${condition.operator}" of "${condition.place}" looks like an id or an e-mail address, but of ${called(field)} a formula sees the person's name alone. Compare with the name, or filter what you have read.`,
    { details: { argument: 'filter', place: condition.place, field: field.name } },
  );
}

/**
 * The name of a choice that the field has.
 * @param joined whether a formula sees the choices of a cell in one text, where some names can't be told apart
 */
export function choiceValue(
  condition: FilterCondition,
  field: FieldSchema,
  value: FilterValue,
  { joined }: { joined: boolean },
): string {
  const { operator, place } = condition;
  const name = textValue(condition, field, value);
  const names = choiceNames(field);
  if (names && !names.includes(name)) {
    const told =
      names.length > maxNamesTold ? '' : ` It has ${names.map((one) => JSON.stringify(one)).join(', ')}.`;
    throw new AppError(
      'INVALID_INPUT',
      `"${operator}" of "${place}" names ${JSON.stringify(name.slice(0, 100))}, which is no choice of ${called(field)}.${suggestion(name, names) || told}`,
      { details: { argument: 'filter', place, field: field.name, choice: name.slice(0, 100) } },
    );
  }
  if (joined) requireTellable(condition, field, name, names ?? []);
  return name;
}

/**
 * The chosen names come joined by commas. One that has a comma or a quote itself, and one that is a piece between the
 * commas of another, can't be told from others.
 */
function requireTellable(
  { operator, place }: FilterCondition,
  field: FieldSchema,
  name: string,
  names: readonly string[],
): void {
  const hides = names.find((other) => other !== name && `, ${other}, `.includes(`, ${name}, `));
  if (!/[,"]/.test(name) && hides === undefined) return;
  throw new AppError(
    'FILTER_NOT_EXACT',
    `"${operator}" of "${place}" has no exact answer for the choice ${JSON.stringify(name)} of ${called(field)}: a formula sees the choices of a cell joined by commas, and ${hides === undefined ? 'this name has a comma or a quote itself' : `${JSON.stringify(hides)} would pass for it`}. Rename the choice, or use a view that filters by it.`,
    { details: { argument: 'filter', place, field: field.name, choice: name } },
  );
}

/**
 * The time that a text names: a whole day, or one millisecond.
 * @param kind whether the field holds days or instants; on instants a day needs a time zone
 */
export function intervalOf(
  condition: FilterCondition,
  field: FieldSchema,
  kind: 'day' | 'instant',
  value: FilterValue,
): Interval {
  const { timeZone } = condition;
  const text = typeof value === 'string' ? value : '';
  if (kind === 'day') {
    const day = parseDay(text);
    if (day === null) throw mismatch(condition, field, 'a day such as "2026-01-31"');
    return { from: day, to: day + dayMs };
  }
  if (timeZone !== null && (timeZone.length > 100 || !isTimeZone(timeZone))) {
    throw badFilter(
      condition.place,
      `has ${JSON.stringify(timeZone.slice(0, 100))} as "timeZone", which is none. Zones look like "Europe/Paris".`,
    );
  }
  if (!isDayText(text)) {
    const at = parseInstant(text);
    if (at === null) {
      throw mismatch(
        condition,
        field,
        'an instant such as "2026-01-31T09:30:00Z", or a day with a "timeZone"',
      );
    }
    if (timeZone === null) return { from: at, to: at + 1 };
    throw badFilter(condition.place, 'has a "timeZone" beside an instant, which has its own. Leave it out.');
  }
  const day = parseDay(text);
  if (day === null) throw mismatch(condition, field, 'a day of the calendar');
  if (timeZone === null) {
    throw badFilter(
      condition.place,
      `compares ${called(field)} with a day, which begins at another time in each zone. Add a "timeZone" such as "Europe/Paris", or give an instant such as "2026-01-31T09:30:00Z".`,
    );
  }
  return dayIn(day, timeZone);
}

function called(field: FieldSchema): string {
  return `the field ${JSON.stringify(field.name)} of type ${field.type}`;
}

function mismatch({ operator, place }: FilterCondition, field: FieldSchema, wanted: string): AppError {
  return new AppError(
    'FIELD_TYPE_MISMATCH',
    `"${operator}" of "${place}" has to be ${wanted}, to be compared with ${called(field)}.`,
    { details: { argument: 'filter', place, field: field.name, type: field.type } },
  );
}
