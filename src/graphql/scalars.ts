import { GraphQLError, GraphQLScalarType, Kind } from 'graphql';
import { DateTimeResolver, JSONResolver } from 'graphql-scalars';
import { builder } from './builder.ts';

builder.addScalarType('DateTime', DateTimeResolver);
builder.addScalarType('JSON', JSONResolver);

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
