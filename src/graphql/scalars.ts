import { GraphQLError, GraphQLScalarType, Kind, type ValueNode } from 'graphql';
import { DateTimeResolver, DurationResolver, JSONResolver } from 'graphql-scalars';
import { builder } from './builder.ts';

/** Times as the upstream writes them. The day that only some years have is left to the library. */
const wellFormed =
  /^\d{4}-(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1\d|2[0-8])|(?:0[13-9]|1[0-2])-(?:29|30)|(?:0[13578]|1[02])-31)T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{3}Z$/;

const dateTime = DateTimeResolver.toConfig();

builder.addScalarType(
  'DateTime',
  new GraphQLScalarType({
    ...dateTime,
    // A page has hundreds of times, and what is right already need not become a Date and a text again.
    serialize: (value: unknown) =>
      typeof value === 'string' && wellFormed.test(value) ? value : dateTime.serialize(value),
  }),
);
builder.addScalarType('JSON', JSONResolver);
builder.addScalarType(
  'Duration',
  new GraphQLScalarType({
    ...DurationResolver.toConfig(),
    description:
      'A length of time as ISO 8601 writes it: `PT24H` are 24 hours, `P7D` seven days, `PT90M` ninety minutes.',
  }),
);

/** Longest cursor that is accepted, in characters; ours are far shorter. */
const maxCursorLength = 500;

function cursorText(value: unknown): string {
  if (typeof value !== 'string' || value.length === 0 || value.length > maxCursorLength) {
    throw new GraphQLError('A cursor is a string that an earlier answer contained.', {
      extensions: { code: 'CURSOR_INVALID' },
    });
  }
  return value;
}

builder.addScalarType(
  'Cursor',
  new GraphQLScalarType<string, string>({
    name: 'Cursor',
    description:
      'A place in the change log of one base. Opaque: keep it and pass it back, but do not take it apart.',
    serialize: cursorText,
    parseValue: cursorText,
    parseLiteral: (node) => cursorText(node.kind === Kind.STRING ? node.value : null),
  }),
);

function filterValue(value: unknown): string | number | boolean {
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') return value;
  throw new GraphQLError('A filter compares with a text, a number, true or false.', {
    extensions: { code: 'INVALID_INPUT' },
  });
}

builder.addScalarType(
  'FilterValue',
  new GraphQLScalarType<string | number | boolean, string | number | boolean>({
    name: 'FilterValue',
    description:
      'What a filter compares with: a text, a number, true or false. Dates are texts in ISO form, such as `2026-01-31` or `2026-01-31T09:30:00Z`.',
    serialize: filterValue,
    parseValue: filterValue,
    parseLiteral: (node) => filterValue(literalValue(node)),
  }),
);

function literalValue(node: ValueNode): unknown {
  if (node.kind === Kind.INT || node.kind === Kind.FLOAT) return Number(node.value);
  return node.kind === Kind.STRING || node.kind === Kind.BOOLEAN ? node.value : null;
}
