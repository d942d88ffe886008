import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { SharedReads } from '../../src/bases/shared-reads.ts';
import { OperationSchemas } from '../../src/bases/operation-schemas.ts';
import { PendingWork } from '../../src/bases/pending-work.ts';
import { CallMeter, type Operation } from '../../src/calendly/operation.ts';
import { RecordPageSize } from '../../src/calendly/record-page-size.ts';
import { maxAnswerBytes } from '../../src/calendly/request.ts';
import type { WireRecord } from '../../src/calendly/wire.ts';
import { asTheyAreNow } from '../../src/records/record-node.ts';
import { RecordPlanner } from '../../src/records/record-planner.ts';
import type { Timed } from '../../src/records/record-reads.ts';
import { UpstreamTable, type TablePage } from '../../src/sync/pull/upstream-table.ts';
import { control, startTestApp, type TestApp } from '../support/app.ts';
import { startPassingServer, type PassingServer } from './passing-server.ts';
import {
  allRecords,
  clearFaults,
  countCalls,
  crm,
  type KnownRecord,
  linkFields,
  type TableName,
} from './crm.ts';

let app: TestApp;
let connection: number;
const tables = {} as Record<TableName, KnownRecord[]>;

beforeAll(async () => {
  app = await startTestApp();
  connection = await app.connect();
  for (const table of ['Contacts', 'Companies', 'Deals'] as const) {
    tables[table] = await allRecords(app, connection, table);
  }
});
afterEach(() => clearFaults(app));
afterAll(() => app.close());

const operation = (): Operation => ({
  callerId: 'test',
  priority: 'person',
  deadline: Date.now() + 30_000,
  meter: new CallMeter(),
});

/** What a level asks for: ids by table. */
type Ids = Record<TableName, Set<string>>;
const noIds = (): Ids => ({ Contacts: new Set(), Companies: new Set(), Deals: new Set() });

/** Ids behind one link field of some records, in the order of the cells. */
function behind(table: TableName, ids: Iterable<string>, field: string, level: Ids): string[] {
  const found: string[] = [];
  for (const id of ids) found.push(...tables[table].find((record) => record.id === id)!.links[field]!);
  for (const id of found) level[linkFields[table][field]!].add(id);
  return found;
}

/** The fewest lookups: every id once, a hundred per call and table, level by level. */
function fewestLookups(levels: Ids[]): number {
  const known = noIds();
  let calls = 0;
  for (const level of levels) {
    for (const table of Object.keys(level) as TableName[]) {
      const fresh = [...level[table]].filter((id) => !known[table].has(id));
      calls += Math.ceil(fresh.length / 100);
      for (const id of fresh) known[table].add(id);
    }
  }
  return calls;
}

const ids = (table: TableName, from: number, to: number) => tables[table].slice(from, to).map(({ id }) => id);
const nodeIds = (table: TableName, from: number, to: number) =>
  tables[table].slice(from, to).map(({ nodeId }) => nodeId);

describe('one operation', () => {
  test('that asks for 250 records in three tables, two links deep, costs the fewest calls', async () => {
    const document = /* GraphQL */ `
      query (
        $c: Int!
        $b: String!
        $nodes: [ID!]!
        $one: ID!
        $contacts: [String!]!
        $more: [String!]!
        $deals: [String!]!
        $contact: String!
        $company: String!
      ) {
        nodes(ids: $nodes) {
          __typename
          nodeId
          ...Named
        }
        node(id: $one) {
          ... on Record {
            id
            text(field: "Name")
            linked(field: "Company") {
              ...Named
            }
          }
        }
        base(connection: $c, baseId: $b) {
          id
          contacts: table(id: "Contacts") {
            recordsById(ids: $contacts) {
              ...Contact
            }
            again: recordsById(ids: $contacts) {
              id
              email: value(field: "Email")
            }
          }
        }
        connection(id: $c) {
          id
          ... on CalendlyConnection {
            base(id: $b) {
              table(id: "tblDEF456") {
                name
                recordsById(ids: $more) {
                  ...Contact
                }
              }
              deals: table(id: "Deals") {
                recordsById(ids: $deals) {
                  id
                  fields(names: ["Name", "Stage"])
                  linked(field: "Company") {
                    id
                    ...Named
                    linked(field: "Contacts") {
                      ...Named
                    }
                  }
                }
              }
            }
          }
        }
        record(connection: $c, baseId: $b, tableId: "Contacts", recordId: $contact) {
          ...Contact
        }
        company: record(connection: $c, baseId: $b, tableId: "Companies", recordId: $company) {
          id
          number(field: "Employees")
        }
      }
      fragment Named on Record {
        id
        text(field: "Name")
      }
      fragment Contact on Record {
        ...Named
        linked(field: "Company") {
          id
          createdTime
          text(field: "Name")
          linked(field: "Deals") {
            ...Named
          }
        }
      }
    `;
    const nodeContacts = ids('Contacts', 0, 40);
    const contacts = [...ids('Contacts', 20, 90), ...ids('Contacts', 90, 110)];
    const more = ids('Contacts', 110, 139);
    const deals = ids('Deals', 0, 90);
    const companies = ids('Companies', 0, 19);
    const variables = {
      c: connection,
      b: crm,
      nodes: [...nodeIds('Contacts', 0, 40), ...nodeIds('Companies', 0, 19)],
      one: tables.Contacts[139]!.nodeId,
      contacts,
      more,
      deals,
      contact: tables.Contacts[140]!.id,
      company: tables.Companies[19]!.id,
    };
    const [first, second, third] = [noIds(), noIds(), noIds()];
    const one = tables.Contacts[139]!.id;
    const withDeals = [...contacts, ...more, variables.contact];
    for (const id of [...nodeContacts, ...withDeals, one]) first.Contacts.add(id);
    for (const id of deals) first.Deals.add(id);
    for (const id of [...companies, variables.company]) first.Companies.add(id);
    expect(first.Contacts.size + first.Deals.size + first.Companies.size).toBeGreaterThanOrEqual(250);
    behind('Contacts', [one], 'Company', second);
    behind('Companies', behind('Contacts', withDeals, 'Company', second), 'Deals', third);
    behind('Companies', behind('Deals', deals, 'Company', second), 'Contacts', third);
    const fewest = fewestLookups([first, second, third]);

    const cold = await app.another();
    try {
      const { result: answer, calls } = await countCalls(app, () => cold.graphql(document, variables));
      expect(answer.errors).toBeUndefined();
      expect(calls).toEqual({ getBaseSchema: 1, listRecords: fewest });
      expect(answer.extensions?.upstream).toMatchObject({ calls: fewest + 1, retries: 0 });

      const named = (table: TableName, wanted: string[]) =>
        wanted.map((id) => ({ id, text: tables[table].find((record) => record.id === id)!.name }));
      expect(answer.data.nodes).toMatchObject([
        ...named('Contacts', nodeContacts),
        ...named('Companies', companies),
      ]);
      expect(answer.data.base.contacts.recordsById).toMatchObject(named('Contacts', contacts));
      for (const contact of [...answer.data.base.contacts.recordsById, answer.data.record]) {
        const expected = behind('Contacts', [contact.id], 'Company', noIds());
        expect(contact.linked).toMatchObject(named('Companies', expected));
        for (const company of contact.linked) {
          expect(company.linked).toEqual(
            named('Deals', behind('Companies', [company.id], 'Deals', noIds()).slice(0, 50)),
          );
        }
      }
    } finally {
      await cold.close();
    }
  });

  test('asks the upstream for the cells that it shows, and no others', async () => {
    const passing = await startPassingServer(app);
    try {
      const answer = await passing.graphql(
        `query ($c: Int!, $b: String!, $id: ID!, $names: [String!]) {
           a: node(id: $id) { ...Mail }
           b: node(id: $id) { ... on Record { fields(names: $names) number(field: "Score") @skip(if: true) } }
           base(connection: $c, baseId: $b) { table(id: "Companies") { records(first: 2) { edges { node { text(field: "Name") } } nodes { value(field: "Employees") } } } }
         }
         fragment Mail on Node { ... on Record { mail: value(field: "Email") } }`,
        { c: connection, b: crm, id: tables.Contacts[0]!.nodeId, names: ['Name', 'VIP'] },
      );
      expect(answer.errors).toBeUndefined();
      expect(answer.data.a).toEqual({ mail: expect.any(String) });
      expect(Object.keys(answer.data.b.fields)).toEqual(['Name', 'VIP']);
      const schema = await app.app.baseSchemas.get(connection, crm, operation());
      const fieldIds = (table: string, names: string[]) =>
        names.map((name) => schema.getTable(table).getField(name).id);
      const asked = passing.seen
        .filter((url) => url.pathname.startsWith(`/v0/${crm}/`))
        .map((url) => url.searchParams.getAll('fields[]'));
      expect(asked.sort((a, b) => a.length - b.length)).toEqual([
        fieldIds('Companies', ['Name', 'Employees']),
        fieldIds('Contacts', ['Name', 'Email', 'VIP']),
      ]);
    } finally {
      await passing.close();
    }
  });

  test('asks in each run of a document for the cells that its variables name', async () => {
    const read = async (field: string, withName: boolean) => {
      const { data, errors } = await app.graphql(
        `query ($c: Int!, $b: String!, $id: String!, $field: String!, $withName: Boolean!) {
           record(connection: $c, baseId: $b, tableId: "Contacts", recordId: $id) { ...Cells } }
         fragment Cells on Record { value(field: $field) text(field: "Name") @include(if: $withName) }`,
        { c: connection, b: crm, id: tables.Contacts[0]!.id, field, withName },
      );
      expect(errors).toBeUndefined();
      return data.record;
    };
    expect(await read('Email', false)).toEqual({ value: expect.any(String) });
    expect(await read('VIP', true)).toEqual({ value: expect.any(Boolean), text: expect.any(String) });
  });

  test('needs no call for what a link already tells', async () => {
    const { result, calls } = await countCalls(app, () =>
      app.graphql(
        `query ($c: Int!, $b: String!, $id: String!) { record(connection: $c, baseId: $b, tableId: "Contacts", recordId: $id) {
           linkedCount(field: "Company") linked(field: "Company") { __typename id nodeId table { name } } } }`,
        { c: connection, b: crm, id: tables.Contacts[0]!.id },
      ),
    );
    expect(result.errors).toBeUndefined();
    expect(result.data.record.linked.map(({ id }: { id: string }) => id)).toEqual(
      tables.Contacts[0]!.links.Company,
    );
    expect(calls).toEqual({ listRecords: 1 });
  });

  test('does not look up again what a page has brought', async () => {
    const { result, calls } = await countCalls(app, () =>
      app.graphql(
        `query ($c: Int!, $b: String!) { base(connection: $c, baseId: $b) { table(id: "Companies") {
           records(first: 100) { nodes { text(field: "Name") linked(field: "Contacts") { linked(field: "Company") { text(field: "Name") } } } } } } }`,
        { c: connection, b: crm },
      ),
    );
    expect(result.errors).toBeUndefined();
    const level = noIds();
    behind('Companies', ids('Companies', 0, 100), 'Contacts', level);
    expect(calls).toEqual({ listRecords: 1 + Math.ceil(level.Contacts.size / 100) });
  });

  test('skips what a directive takes out of the document', async () => {
    const { result } = await countCalls(app, () =>
      app.graphql(
        `query ($c: Int!, $b: String!, $id: String!, $no: Boolean!) { record(connection: $c, baseId: $b, tableId: "Contacts", recordId: $id) {
           id linked(field: "Company") @include(if: $no) { text(field: "Name") } ... @skip(if: true) { fields } } }`,
        { c: connection, b: crm, id: tables.Contacts[0]!.id, no: false },
      ),
    );
    expect(result.data.record).toEqual({ id: tables.Contacts[0]!.id });
    expect(result.extensions?.upstream?.calls).toBe(1);
  });
});

test('an answer that comes late takes no cell from what came before it', async () => {
  const held: (() => void)[] = [];
  const passing = await startPassingServer(app, async ({ pathname }) => {
    if (pathname.endsWith('/tblDEF456')) await new Promise<void>((resolve) => held.push(resolve));
    return false;
  });
  try {
    const { baseSchemas, recordCopies, clock } = app.app;
    const mine = operation();
    let answered = 0;
    class Noted extends SharedReads<Timed<WireRecord[]>> {
      override async read(...asked: Parameters<SharedReads<Timed<WireRecord[]>>['read']>) {
        const answer = await super.read(...asked);
        answered += 1;
        return answer;
      }
    }
    const planner = new RecordPlanner({
      openApi: (connectionId) => passing.upstream.api(connectionId, mine),
      operation: mine,
      schemas: new OperationSchemas({ shared: baseSchemas, operation: mine, clock }),
      pending: new PendingWork(),
      inFlight: new Noted({ clock, maxAgeMs: 0, maxEntries: 10 }),
      copies: recordCopies,
      clock,
    });
    const table = (await baseSchemas.get(connection, crm, mine)).getTable('Contacts');
    const [name, email] = ['Name', 'Email'].map((field) => table.getField(field).id) as [string, string];
    const load = (recordId: string, ...fields: string[]) => {
      const place = { connectionId: connection, baseId: crm, table, recordId };
      return planner.load({ ...place, fields: new Set(fields), freshness: asTheyAreNow }, 1);
    };
    const arrived = async (count: number) => {
      while (held.length < count) await new Promise(setImmediate);
    };
    const [id, ...others] = ids('Contacts', 0, 101) as [string, ...string[]];
    const early = load(id, name);
    await arrived(1);
    const whole = load(id, name, email);
    const rest = others.map((other) => load(other, name, email));
    await arrived(3);
    // The second batch asks for a hundred with the first of them, and for one more.
    const isOfOne = passing.seen.at(-1)!.href.length < 1_000;
    const [hundred, one] = isOfOne ? [held[1], held[2]] : [held[2], held[1]];
    hundred!();
    while (answered < 1) await new Promise(setImmediate);
    held[0]!();
    await early;
    one!();
    expect((await whole)?.cells).toMatchObject({ [name]: expect.any(String), [email]: expect.any(String) });
    await Promise.all(rest);
  } finally {
    await passing.close();
  }
});

describe('records that are too large together', () => {
  const most = 40;
  const isTooMany = (text: string) => JSON.parse(text).records?.length > most;
  let passing: PassingServer;
  beforeAll(async () => {
    passing = await startPassingServer(app, (_, text, response) => {
      if (!isTooMany(text)) return false;
      response.writeHead(200, { 'content-length': maxAnswerBytes + 1 }).write('{');
      return true;
    });
  });
  beforeEach(() => void passing.seen.splice(0));
  afterAll(() => passing.close());

  const asked = () => passing.seen.filter(({ pathname }) => pathname === `/v0/${crm}/tblDEF456`);
  const sizes = () => asked().map(({ searchParams }) => Number(searchParams.get('pageSize')));
  const names = (from: number, to: number) =>
    tables.Contacts.slice(from, to).map(({ id, name }) => ({ id, name }));

  test('are looked up in halves', async () => {
    const answer = await passing.graphql(
      `query ($c: Int!, $b: String!, $ids: [String!]!) { base(connection: $c, baseId: $b) { table(id: "Contacts") { recordsById(ids: $ids) { id name: text(field: "Name") } } } }`,
      { c: connection, b: crm, ids: ids('Contacts', 0, 100) },
    );
    expect(answer.errors).toBeUndefined();
    expect(answer.data.base.table.recordsById).toEqual(names(0, 100));
    // A hundred, twice fifty, four times 25.
    expect(asked()).toHaveLength(7);
  });

  test('are listed in smaller pages, and the listing goes on where it was', async () => {
    const list = async (first: number, after: string | null) => {
      const { data, errors } = await passing.graphql(
        `query ($c: Int!, $b: String!, $first: Int!, $after: String) { base(connection: $c, baseId: $b) { table(id: "Contacts") {
           records(first: $first, after: $after) { nodes { id name: text(field: "Name") } pageInfo { endCursor } } } } }`,
        { c: connection, b: crm, first, after },
      );
      expect(errors).toBeUndefined();
      return data.base.table.records;
    };
    const first = await list(110, null);
    expect(first.nodes).toEqual(names(0, 110));
    expect(sizes()).toEqual([100, 50, 25, 25, 25, 25, 25]);
    const second = await list(60, first.pageInfo.endCursor);
    expect(second.nodes).toEqual(names(110, 170));
    expect(sizes().slice(7)).toEqual([100, 50, 25, 25, 25]);
  });

  test('reach a copy in smaller pages', async () => {
    const { baseSchemas: schemas, clock } = app.app;
    const table = new UpstreamTable({ upstream: passing.upstream, schemas, clock });
    const place = { connectionId: connection, baseId: crm, tableId: 'tblDEF456' };
    const { signal } = new AbortController();
    const pageSizes = new RecordPageSize();
    const read: string[] = [];
    let calls = 0;
    for (let offset: string | null = null; ;) {
      const page: TablePage = await table.page(place, { offset }, pageSizes, signal);
      read.push(...page.records.map(({ id }) => id));
      calls += page.calls;
      offset = page.offset;
      if (offset === null) break;
    }
    expect(read).toEqual(tables.Contacts.map(({ id }) => id));
    expect(calls).toBe(asked().length);
    expect(calls).toBeLessThanOrEqual(2 + Math.ceil(read.length / 25) + 1);
    const found = await table.records(place, ids('Contacts', 0, 100), signal);
    expect(found.size).toBe(100);
  });
});

describe('what goes wrong', () => {
  test('an unknown id is null, in its place', async () => {
    const [a, b] = ids('Deals', 0, 2);
    const answer = await app.graphql(
      `query ($c: Int!, $b: String!, $ids: [String!]!, $nodes: [ID!]!) {
         base(connection: $c, baseId: $b) { table(id: "Deals") { recordsById(ids: $ids) { id } record(id: "recNotThere") { id } } }
         nodes(ids: $nodes) { nodeId } }`,
      {
        c: connection,
        b: crm,
        ids: [a, 'recNotThere', b, a],
        nodes: [
          tables.Deals[0]!.nodeId,
          Buffer.from(`Record:${connection}/${crm}/tblDEF456/recNotThere`).toString('base64'),
          Buffer.from('Record:77/appNope/tblNope/recNope').toString('base64'),
        ],
      },
    );
    expect(answer.errors).toBeUndefined();
    expect(answer.data.base.table.recordsById).toEqual([{ id: a }, null, { id: b }, { id: a }]);
    expect(answer.data.base.table.record).toBeNull();
    expect(answer.data.nodes).toEqual([{ nodeId: tables.Deals[0]!.nodeId }, null, null]);
  });

  test('a malformed id is an error at its own place and never leaves the house', async () => {
    const { result, calls } = await countCalls(app, () =>
      app.graphql(
        `query ($c: Int!, $b: String!) { base(connection: $c, baseId: $b) { table(id: "Deals") { recordsById(ids: ["rec1'),TRUE()", "recNotThere"]) { id } } } node(id: "!") { nodeId } }`,
        { c: connection, b: crm },
      ),
    );
    expect(result.data.base.table.recordsById).toEqual([null, null]);
    expect(result.errors).toMatchObject([
      { path: ['node'], extensions: { code: 'INVALID_INPUT' } },
      { path: ['base', 'table', 'recordsById', 0], extensions: { code: 'INVALID_INPUT' } },
    ]);
    expect(calls).toEqual({ listRecords: 1 });
  });

  test('a table that fails takes nothing else with it', async () => {
    const dealsTable = await app.graphql(
      `query ($c: Int!, $b: String!) { base(connection: $c, baseId: $b) { table(id: "Deals") { id } } }`,
      { c: connection, b: crm },
    );
    await control(app.sandbox.url, 'faults', {
      match: { path: `/v0/${crm}/${dealsTable.data.base.table.id}` },
      times: 100,
      kind: 'status',
      status: 403,
      body: {
        error: { type: 'INVALID_PERMISSIONS', message: 'You are not permitted to perform this operation' },
      },
    });
    const answer = await app.graphql(
      `query ($c: Int!, $b: String!, $nodes: [ID!]!, $deal: String!) {
         base(connection: $c, baseId: $b) { deals: table(id: "Deals") { records(first: 1) { nodes { id } } record(id: $deal) { id } } contacts: table(id: "Contacts") { records(first: 1) { nodes { id } } } }
         nodes(ids: $nodes) { ... on Record { text(field: "Name") } } }`,
      {
        c: connection,
        b: crm,
        deal: tables.Deals[3]!.id,
        nodes: [tables.Deals[0]!.nodeId, tables.Contacts[0]!.nodeId],
      },
    );
    expect(answer.data.base.contacts.records.nodes).toHaveLength(1);
    expect(answer.data.base.deals).toEqual({ records: null, record: null });
    expect(answer.data.nodes).toEqual([null, { text: tables.Contacts[0]!.name }]);
    expect(answer.errors?.map(({ path, extensions }) => [path?.join('.'), extensions.code]).sort()).toEqual([
      ['base.deals.record', 'UPSTREAM_FORBIDDEN'],
      ['base.deals.records', 'UPSTREAM_FORBIDDEN'],
      ['nodes.0', 'UPSTREAM_FORBIDDEN'],
    ]);
  });

  test('one failing hundred takes no other with it', async () => {
    await control(app.sandbox.url, 'faults', {
      match: { path: `/v0/${crm}/tblDEF456` },
      times: 1,
      kind: 'status',
      status: 422,
      body: { error: { type: 'SOMETHING_ELSE' } },
    });
    const answer = await app.graphql(
      `query ($c: Int!, $b: String!, $ids: [String!]!) { base(connection: $c, baseId: $b) { table(id: "Contacts") { recordsById(ids: $ids) { id } } } }`,
      { c: connection, b: crm, ids: ids('Contacts', 0, 150) },
    );
    const found = answer.data.base.table.recordsById.filter((record: unknown) => record !== null).length;
    expect([50, 100]).toContain(found);
    expect(answer.errors).toHaveLength(150 - found);
  });

  test('more than 1,000 ids are refused, naming the limit', async () => {
    const answer = await app.graphql(
      `query ($c: Int!, $b: String!, $ids: [String!]!) { base(connection: $c, baseId: $b) { table(id: "Contacts") { recordsById(ids: $ids) { id } } } }`,
      { c: connection, b: crm, ids: Array.from({ length: 1_001 }, (_, n) => `rec${n}`) },
    );
    expect(answer.errors).toMatchObject([{ extensions: { code: 'TOO_MANY', max: 1_000 } }]);
    expect(answer.data.base.table.recordsById).toBeNull();
  });

  test('a misspelt table or field is named, with the nearest one', async () => {
    const answer = await app.graphql(
      `query ($c: Int!, $b: String!, $id: String!) { base(connection: $c, baseId: $b) { table(id: "Contact") { id } }
         record(connection: $c, baseId: $b, tableId: "Contacts", recordId: $id) { id text(field: "Emial") mail: text(field: "Email") number(field: "Name") } }`,
      { c: connection, b: crm, id: tables.Contacts[0]!.id },
    );
    expect(answer.data.base.table).toBeNull();
    expect(answer.data.record).toMatchObject({ text: null, mail: expect.any(String), number: null });
    expect(answer.errors).toMatchObject([
      {
        path: ['base', 'table'],
        extensions: { code: 'TABLE_NOT_FOUND' },
        message: expect.stringContaining('Did you mean "Contacts"?'),
      },
      {
        path: ['record', 'text'],
        extensions: { code: 'FIELD_NOT_FOUND' },
        message: expect.stringContaining('Did you mean "Email"?'),
      },
      { path: ['record', 'number'], extensions: { code: 'FIELD_TYPE_MISMATCH' } },
    ]);
  });

  test('a field that was made a moment ago is found', async () => {
    await control(app.sandbox.url, 'schema', {
      baseId: crm,
      addField: { tableId: 'Deals', name: 'Made later', type: 'singleLineText' },
    });
    app.app.baseSchemas.forget(crm);
    const answer = await app.graphql(
      `query ($id: ID!) { node(id: $id) { ... on Record { fields(names: ["Made later"]) } } }`,
      { id: tables.Deals[0]!.nodeId },
    );
    expect(answer.data.node.fields).toEqual({ 'Made later': null });
  });

  test('a field that has gone costs its own value only', async () => {
    await control(app.sandbox.url, 'schema', {
      baseId: crm,
      addField: { tableId: 'Deals', name: 'Short-lived', type: 'singleLineText' },
    });
    app.app.baseSchemas.forget(crm);
    const read = () =>
      app.graphql(
        `query ($id: ID!) { node(id: $id) { ... on Record { text(field: "Name") gone: text(field: "Short-lived") } } }`,
        { id: tables.Deals[0]!.nodeId },
      );
    expect((await read()).errors).toBeUndefined();
    await control(app.sandbox.url, 'schema', {
      baseId: crm,
      removeField: { tableId: 'Deals', fieldId: 'Short-lived' },
    });
    expect((await read()).data.node).toEqual({ text: tables.Deals[0]!.name, gone: null });
    expect((await read()).errors).toMatchObject([
      { path: ['node', 'gone'], extensions: { code: 'FIELD_NOT_FOUND' } },
    ]);
  });
});

test('a hundred identical operations at once cost one schema call and never two lookups at a time', async () => {
  const latencyMs = 500;
  const cold = await app.another();
  try {
    await control(app.sandbox.url, 'limits', { latencyMs });
    const begun = Date.now();
    const { result: answers, calls } = await countCalls(app, () =>
      Promise.all(
        Array.from({ length: 100 }, () =>
          cold.graphql(`query ($id: ID!) { node(id: $id) { ... on Record { text(field: "Name") } } }`, {
            id: tables.Contacts[0]!.nodeId,
          }),
        ),
      ),
    );
    expect(answers.map(({ data }) => data.node.text)).toEqual(answers.map(() => tables.Contacts[0]!.name));
    expect(calls.getBaseSchema).toBe(1);
    // Never two at once, so no more than fit into the time that the slowest asker took to arrive.
    expect(calls.listRecords).toBeLessThanOrEqual(1 + (Date.now() - begun) / latencyMs);
  } finally {
    await control(app.sandbox.url, 'limits', { latencyMs: 0 });
    await cold.close();
  }
});
