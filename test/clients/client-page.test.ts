import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import {
  buildSchema,
  extendSchema,
  isInterfaceType,
  isScalarType,
  parse,
  specifiedScalarTypes,
  validate,
} from 'graphql';
import { NoUnusedFragmentsRule, specifiedRules } from 'graphql';
import { readFileSync } from 'node:fs';
import { startTestApp, type TestApp } from '../support/app.ts';
import { CuttableProxy } from '../support/cuttable-proxy.ts';
import { BusyDoor } from './busy-door.ts';
import { blocksOf, PageProgram, sectionsWithCode } from './programs-of-the-page.ts';

const schema = buildSchema(readFileSync(new URL('../../schema.graphql', import.meta.url), 'utf8'));
const runHere = ['Plain fetch', 'Apollo Client', 'urql', 'graphql-ws', 'graphql-sse'];

test('every section of the page with code is run here, but for Relay, whose packages are not ours', () => {
  expect(sectionsWithCode()).toEqual([...runHere.slice(0, 3), 'Relay', ...runHere.slice(3)]);
});

describe('the programs of the page about clients', () => {
  let app: TestApp;
  let door: BusyDoor;

  beforeAll(async () => {
    app = await startTestApp();
    expect(await app.connect()).toBe(1);
  });
  afterAll(() => app.close());

  /** Runs a section to its end behind a door that turns the first request away. */
  async function run(heading: string): Promise<string[]> {
    door = await BusyDoor.before(app.url);
    const program = await PageProgram.start(heading, { URL: door.url, KEY: app.adminKey });
    const lines = await program.lines().finally(() => door.close());
    expect(door.answers.get(429)).toBe(1);
    return lines;
  }

  test('plain fetch waits at a busy door, tells failed fields and costs, and branches on a write', async () => {
    expect(await run('Plain fetch')).toEqual([
      'names 2',
      'failed FIELD_NOT_FOUND base.table.records.nodes.0.nick',
      expect.stringMatching(/^calls [12]$/),
      'in turn 1',
      'written WRITTEN FAILED',
      'refused CONNECTION_NOT_FOUND',
    ]);
    expect(door.caps).toEqual(['3', '3']);
  });

  test('Apollo Client joins pages, keeps half an answer, updates what it shows, and subscribes', async () => {
    const lines = await run('Apollo Client');
    expect(lines.filter((line) => line.startsWith('calls Contacts'))).toHaveLength(3);
    expect(lines.filter((line) => !line.startsWith('calls'))).toEqual([
      'names 251',
      'Marketing CRM TABLE_NOT_FOUND',
      'WRITTEN AAA renamed',
      'CONNECTED',
    ]);
    expect(door.caps).toEqual(['3']);
  });

  test('urql pages, keeps half an answer, reads a union, subscribes, and has a key for each type', async () => {
    const lines = await run('urql');
    expect(lines.filter((line) => line.startsWith('calls'))).toHaveLength(3);
    expect(lines.filter((line) => !line.startsWith('calls'))).toEqual([
      'names 251',
      'Marketing CRM TABLE_NOT_FOUND',
      'CONNECTION_NOT_FOUND',
      'CONNECTED',
      'one null null',
    ]);
  });

  test.each(['graphql-ws', 'graphql-sse'])(
    '%s is cut off and comes back with its cursor, missing nothing and telling nothing twice',
    async (heading) => {
      const proxy = await CuttableProxy.before(app.server.port);
      const program = await PageProgram.start(heading, { URL: proxy.url, KEY: app.adminKey });
      try {
        await program.printed('FeedPosition');
        await createContact(`${heading} one`);
        await program.printed(`RecordChange ${heading} one`);
        proxy.cut();
        await createContact(`${heading} two`);
        proxy.restore();
        await createContact(`${heading} three`);
        await program.printed(`RecordChange ${heading} three`);
        const told = program.output.match(/(?<=RecordChange ).*/g) ?? [];
        const expected = ['one', 'two', 'three'].map((count) => `${heading} ${count}`);
        expect(told.filter((name) => name.startsWith(heading))).toEqual(expected);
      } finally {
        await program.stop();
        await proxy.close();
      }
    },
  );

  async function createContact(name: string): Promise<void> {
    const { errors } = await app.graphql(
      `mutation ($fields: JSON!) { createRecords(input: { connection: 1, baseId: "appABC123", tableId: "Contacts", records: [{ fields: $fields }] }) { __typename } }`,
      { fields: { Name: name } },
    );
    expect(errors).toBeUndefined();
  }
});

describe('what the page says to Relay', () => {
  const config = JSON.parse(blocksOf('Relay', 'json')[0] ?? '') as {
    schemaConfig: { nodeInterfaceIdField: string };
    customScalarTypes: Record<string, string>;
  };

  test('the setting names the one field of Node, and node takes its argument under the name that is the default', () => {
    const node = schema.getType('Node');
    const fields = isInterfaceType(node) ? Object.keys(node.getFields()) : [];
    expect(fields).toEqual([config.schemaConfig.nodeInterfaceIdField]);
    const { node: query } = schema.getQueryType()?.getFields() ?? {};
    expect(query?.args.map(({ name }) => name)).toEqual(['id']);
  });

  test('every scalar of ours has a type', () => {
    const scalars = Object.values(schema.getTypeMap())
      .filter((type) => isScalarType(type) && !specifiedScalarTypes.some(({ name }) => name === type.name))
      .map(({ name }) => name);
    expect(Object.keys(config.customScalarTypes).sort()).toEqual(scalars.sort());
  });

  test('its fragment fits the schema together with the directives of its compiler', () => {
    const source = /= graphql`([\s\S]*?)`/.exec(blocksOf('Relay', 'ts').join('\n'))?.[1] ?? '';
    const relay = extendSchema(
      schema,
      parse(`directive @refetchable(queryName: String!) on FRAGMENT_DEFINITION
        directive @connection(key: String!, filters: [String]) on FIELD
        directive @argumentDefinitions(count: Argument, cursor: Argument) on FRAGMENT_DEFINITION
        input Argument { type: String! defaultValue: Int }`),
    );
    const rules = specifiedRules.filter((rule) => rule !== NoUnusedFragmentsRule);
    expect(validate(relay, parse(source), rules).map(({ message }) => message)).toEqual([]);
    expect(source).toContain('Contacts_table on Table');
  });
});
