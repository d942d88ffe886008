import { expect, test } from '@jest/globals';
import {
  buildSchema,
  isEnumType,
  isInputObjectType,
  isInterfaceType,
  isIntrospectionType,
  isObjectType,
  isSpecifiedScalarType,
} from 'graphql';
import { readFileSync } from 'node:fs';

interface Part {
  place: string;
  description: string | null | undefined;
  isNamedWell: boolean;
}

const pascalCase = /^[A-Z][A-Za-z0-9]*$/;
const camelCase = /^[a-z][A-Za-z0-9]*$/;
const constantCase = /^[A-Z][A-Z0-9]*(_[A-Z0-9]+)*$/;

const schema = buildSchema(readFileSync(new URL('../../schema.graphql', import.meta.url), 'utf8'));
const parts: Part[] = [];

function add(place: string, name: string, pattern: RegExp, description: Part['description']): void {
  parts.push({ place, description, isNamedWell: pattern.test(name) });
}

for (const type of Object.values(schema.getTypeMap())) {
  if (isIntrospectionType(type) || isSpecifiedScalarType(type)) continue;
  add(type.name, type.name, pascalCase, type.description);
  if (isEnumType(type)) {
    for (const { name, description } of type.getValues())
      add(`${type.name}.${name}`, name, constantCase, description);
  } else if (isInputObjectType(type)) {
    for (const { name, description } of Object.values(type.getFields()))
      add(`${type.name}.${name}`, name, camelCase, description);
  } else if (isObjectType(type) || isInterfaceType(type)) {
    for (const { name, description, args } of Object.values(type.getFields())) {
      add(`${type.name}.${name}`, name, camelCase, description);
      for (const arg of args) add(`${type.name}.${name}(${arg.name}:)`, arg.name, camelCase, arg.description);
    }
  }
}

test('every type, field, argument, enum value and input field of the schema has a description', () => {
  expect(parts.length).toBeGreaterThan(200);
  expect(parts.filter(({ description }) => !description?.trim()).map(({ place }) => place)).toEqual([]);
});

test('types are named in PascalCase, fields and arguments in camelCase, enum values in CONSTANT_CASE', () => {
  expect(parts.filter(({ isNamedWell }) => !isNamedWell).map(({ place }) => place)).toEqual([]);
});
