import { builder } from '../../graphql/builder.ts';
import {
  maxFilterConditions,
  maxFilterDepth,
  maxFilterTextLength,
  maxFilterValues,
  type RecordFilter,
} from './filter.ts';

/** A filter refers to itself, which needs a reference before the fields. */
export const RecordFilterInput = builder.inputRef<RecordFilter>('RecordFilter');

const listed = `At most ${maxFilterValues}`;

RecordFilterInput.implement({
  description: `Which records. Either a group (\`and\`, \`or\`, \`not\`) or a \`field\` with operators; several operators on one field have to hold together. At most ${maxFilterDepth} levels and ${maxFilterConditions} operators. Checked against the table before anything is asked: a misspelt field or choice suggests the nearest, an operator that does not fit names those that do, and what the service can not answer exactly is FILTER_NOT_EXACT.`,
  fields: (t) => ({
    and: t.field({
      type: [RecordFilterInput],
      description: 'All of these have to hold. An empty list lets every record through.',
    }),
    or: t.field({
      type: [RecordFilterInput],
      description: 'At least one of these has to hold. An empty list lets no record through.',
    }),
    not: t.field({ type: RecordFilterInput, description: 'This must not hold.' }),
    field: t.string({ description: 'Id or exact name of the field that the operators beside it look at.' }),
    eq: t.field({
      type: 'FilterValue',
      description: `Equal: texts by every character (at most ${maxFilterTextLength} of them), choices by name, people by their name, checkboxes true or false, dates as ISO text.`,
    }),
    ne: t.field({
      type: 'FilterValue',
      description: 'Not `eq`. Empty cells are not equal to anything either.',
    }),
    gt: t.field({ type: 'FilterValue', description: 'Greater than a number; later than a date.' }),
    gte: t.field({ type: 'FilterValue', description: '`gt` or `eq`.' }),
    lt: t.field({
      type: 'FilterValue',
      description: 'Less than a number; earlier than a date. Never empty.',
    }),
    lte: t.field({ type: 'FilterValue', description: '`lt` or `eq`.' }),
    before: t.string({ description: 'Earlier than a date: `lt` for dates alone.' }),
    after: t.string({
      description: 'Later than a date: `gt` for dates alone. Later than a day means after its end.',
    }),
    in: t.field({
      type: ['FilterValue'],
      description: `Equal to one of these. ${listed}; an empty list holds for no record.`,
    }),
    notIn: t.field({ type: ['FilterValue'], description: `Not \`in\`: equal to none of these. ${listed}.` }),
    contains: t.string({ description: 'The text has this in it, upper and lower case being different.' }),
    startsWith: t.string({ description: 'The text begins with this, upper and lower case being different.' }),
    isEmpty: t.boolean({
      description:
        'Whether the cell is empty. Zero is a number, not an empty cell; a cell whose formula failed is not empty.',
    }),
    hasAny: t.stringList({
      description: `At least one of these choices is in the cell, in a field of several choices. ${listed}.`,
    }),
    hasAll: t.stringList({
      description: `All of these choices are in the cell, and maybe others. ${listed}.`,
    }),
    hasNone: t.stringList({
      description: `Not \`hasAny\`: none of these choices is in the cell. ${listed}.`,
    }),
    hasRecord: t.string({
      description:
        'Linked to the record with this id. Looked up in the field of the linked table that leads back, which takes a call of its own for each hundred ids and table.',
    }),
    hasAnyRecord: t.stringList({
      description: `Linked to at least one of the records with these ids. ${listed}.`,
    }),
    ignoreCase: t.boolean({
      description: 'Compares texts without regard to upper and lower case, by the lower case of both.',
    }),
    timeZone: t.string({
      description:
        'Where the days that a field with times is compared with begin and end, such as `Europe/Paris`. Fields with days alone need none.',
    }),
  }),
});
