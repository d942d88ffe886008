import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import pg from 'pg';
import type { RecordFilter } from '../../../src/records/filters/filter.ts';
import { control, startTestApp, type TestApp, type UntypedData } from '../../support/app.ts';
import { repeats, timeLimitMs } from '../../support/repeats.ts';
import { crm } from '../crm.ts';
import { hostileText } from '../filter-cases.ts';
import { createSync, edit, mutate, readSync, until } from '../../sync/sync-app.ts';

let app: TestApp;
let connection: number;
let contacts: UntypedData;
const copied = [
  ...[
    'Name',
    'Email',
    'Phone',
    'Website',
    'Notes',
    'Bio',
    'Status',
    'Tags',
    'VIP',
    'Score',
    'Rating',
    'Budget',
  ],
  ...['Engagement', 'Birthday', 'Last contacted', 'Call duration', 'Badge', 'Company', 'Deals', 'Created'],
];

interface Row {
  id: string;
  createdTime: string;
  fields: Record<string, unknown>;
}

/** Texts that collations, cases and escapes make much of, and values at the ends of their types. */
const oddContacts = [
  { Name: 'O\'Hara \\ "x" {y}', Notes: 'line\nbreak\ttab', Score: 0, Budget: -0.1, VIP: true },
  { Name: 'ÅNGSTRÖM ΟΔΟΣ İıß ﬁ 👩‍👩‍👧', Score: -5, Engagement: 0.3, Tags: ['Événement'] },
  { Name: 'a\u0301 e\u0301É', Score: 9_007_199_254_740_991, Budget: 1e-7, Birthday: '0999-12-31' },
  { Name: ' ', Score: 1e21, 'Last contacted': '2026-03-28T23:00:00.001Z', Birthday: '2026-02-28' },
  { Email: 'x@example.com', 'Last contacted': '2026-03-28T22:59:59.999Z', Status: 'Lead' },
  {},
];

beforeAll(async () => {
  app = await startTestApp();
  connection = await app.connect();
  const written = await app.graphql(
    `mutation ($c: Int!, $records: [RecordToCreate!]!) {
      createRecords(input: { connection: $c, baseId: "${crm}", tableId: "Contacts", records: $records }) { ... on CreateRecordsSuccess { results { status error { message } } } ... on Error { message } }
    }`,
    { c: connection, records: oddContacts.map((fields) => ({ fields })) },
  );
  const results: { status: string }[] | undefined = written.data?.createRecords.results;
  if (!results?.every(({ status }) => status === 'WRITTEN')) throw new Error(JSON.stringify(written));
  const syncs = [
    await createSync(app, connection),
    await createSync(app, connection, { tableId: 'Companies' }),
  ];
  const isLive = async ({ id }: UntypedData) => (await readSync(app, id)).state === 'LIVE';
  for (const sync of syncs) await until(() => isLive(sync), 'the copy is filled');
  contacts = syncs[0];
});
afterAll(() => app.close());

const document = `query ($c: Int!, $t: String!, $filter: RecordFilter, $search: String, $formula: String, $view: String, $sort: [RecordSort!], $first: Int, $after: String, $maxAge: Duration, $names: [String!]) {
  base(connection: $c, baseId: "${crm}") { table(id: $t) {
    records(filter: $filter, search: $search, formula: $formula, view: $view, sort: $sort, first: $first, after: $after, maxAge: $maxAge) {
      source asOf liveBecause
      nodes { id createdTime fields(names: $names) problems { code } }
      pageInfo { hasNextPage hasPreviousPage endCursor }
    }
  } }
}`;

async function list(variables: Record<string, unknown>) {
  const asked = { c: connection, t: 'Contacts', names: copied, first: 1_000, ...variables };
  const { data, errors, extensions } = await app.graphql(document, asked);
  return { page: data?.base?.table?.records, errors, calls: extensions?.upstream?.calls };
}

/** All pages of the copy one after the other, none of which may take a call. */
async function listCopied(variables: Record<string, unknown>, first: number): Promise<Row[]> {
  const rows: Row[] = [];
  for (let after: string | null = null, more = true; more;) {
    const { page, errors, calls } = await list({ ...variables, first, after, maxAge: 'PT1H' });
    expect(errors).toBeUndefined();
    expect({ source: page.source, because: page.liveBecause, calls }).toEqual({
      source: 'COPY',
      because: null,
      calls: 0,
    });
    expect(page.pageInfo.hasPreviousPage).toBe(after !== null);
    rows.push(...page.nodes);
    [after, more] = [page.pageInfo.endCursor, page.pageInfo.hasNextPage];
  }
  return rows;
}

const byId = (rows: readonly Row[]) => rows.toSorted((a, b) => (a.id < b.id ? -1 : 1));

describe('pages from the copy', () => {
  test(
    'have the same records, with the same cells and in the same order, as live ones, whatever is asked',
    async () => {
      const whole = await list({});
      const rows: Row[] = whole.page.nodes;
      const conditions = copied.map((field) => conditionsOn(field, rows)).filter((one) => one !== null);
      const filter = fc.letrec<{ filter: RecordFilter; group: RecordFilter }>((tie) => ({
        filter: fc.oneof({ depthSize: 'small' }, fc.oneof(...conditions), tie('group')),
        group: fc.oneof(
          fc.array(tie('filter'), { maxLength: 3 }).map((and): RecordFilter => ({ and })),
          fc.array(tie('filter'), { maxLength: 3 }).map((or): RecordFilter => ({ or })),
          tie('filter').map((not): RecordFilter => ({ not })),
        ),
      })).filter;
      const sort = fc.uniqueArray(
        fc.record({ field: fc.constantFrom(...sortable), direction: fc.constantFrom('ASC', 'DESC') }),
        { selector: ({ field }) => field, maxLength: 3 },
      );
      const first = fc.integer({ min: 1, max: 25 });
      const seen = { some: 0, runs: 0 };
      await fc.assert(
        fc.asyncProperty(fc.option(filter, { nil: null }), sort, first, async (asked, order, length) => {
          const live = await list({ filter: asked, sort: order });
          fc.pre(!live.errors);
          const found: Row[] = live.page.nodes;
          seen.runs += 1;
          if (found.length > 0 && found.length < rows.length) seen.some += 1;
          const pages = await listCopied({ filter: asked, sort: order }, found.length > 100 ? 70 : length);
          expect(byId(pages)).toEqual(byId(found));
          const keys = ({ fields, createdTime }: Row) =>
            order.map(({ field }) => fields[field] ?? createdTime);
          expect(pages.map(keys)).toEqual(found.map(keys));
        }),
        { numRuns: repeats({ suite: 12, long: 2_000 }) },
      );
      expect(seen.some / seen.runs).toBeGreaterThan(0.3);
    },
    timeLimitMs,
  );
});

describe('a record from the copy', () => {
  const byIds = `query ($c: Int!, $ids: [String!]!, $id: String!, $maxAge: Duration) {
    base(connection: $c, baseId: "${crm}") { table(id: "Contacts") {
      recordsById(ids: $ids, maxAge: $maxAge) { ...Shown company: linked(field: "Company") { ...Shown } deals: linked(field: "Deals") { ...Shown } }
      record(id: $id, maxAge: $maxAge) { ...Shown }
    } }
    record(connection: $c, baseId: "${crm}", tableId: "Contacts", recordId: $id, maxAge: $maxAge) { ...Shown linkedCount(field: "Deals") }
  }
  fragment Shown on Record { id createdTime name: text(field: "Name") source asOf liveBecause }`;
  const shown = (value: unknown): unknown =>
    JSON.parse(
      JSON.stringify(value, (key, one: unknown) =>
        ['source', 'asOf', 'liveBecause'].includes(key) ? null : one,
      ),
    );

  test('and those behind its links, are the live ones; only a table without a copy costs a call', async () => {
    const { page } = await list({ filter: { field: 'Company', hasRecord: await aCompany() } });
    const ids = [...page.nodes.map(({ id }: Row) => id), 'recNobody', page.nodes[0].id];
    const variables = { c: connection, ids, id: ids[0] };
    const live = await app.graphql(byIds, variables);
    const copy = await app.graphql(byIds, { ...variables, maxAge: 'PT1H' });
    expect(copy.errors).toBeUndefined();
    expect(shown(copy.data)).toEqual(shown(live.data));
    expect(copy.extensions?.upstream?.calls).toBe(1);
    const [first] = copy.data.base.table.recordsById;
    expect(first).toMatchObject({ source: 'COPY', liveBecause: null, company: [{ source: 'COPY' }] });
    const [deal] = copy.data.base.table.recordsById.flatMap((one: UntypedData) => one?.deals ?? []);
    expect(deal).toMatchObject({ source: 'LIVE', liveBecause: 'NO_COPY' });
    expect(live.data.record).toMatchObject({ source: 'LIVE', liveBecause: null });
    expect(Date.parse(first.asOf)).toBeLessThanOrEqual(Date.parse(live.data.record.asOf));
  });

  async function aCompany(): Promise<string> {
    const { page } = await list({ names: ['Company', 'Deals'] });
    const used = page.nodes.find(({ fields }: Row) =>
      ['Company', 'Deals'].every((field) => (fields[field] as string[]).length > 0),
    );
    return used.fields.Company[0];
  }
});

describe('what a copy can not tell', () => {
  test.each([
    ['NOT_COPIED', 'a formula that is selected', { names: ['Label'] }],
    ['NOT_COPIED', 'people, who can be renamed', { names: ['Owner'] }],
    ['NOT_COPIED', 'files, whose addresses expire', { names: ['Avatar'] }],
    ['NOT_COPIED', 'all cells, where some are computed', { names: null }],
    [
      'NOT_COPIED',
      'a lookup that is filtered by',
      { filter: { field: 'Company industry', hasAny: ['Energy'] } },
    ],
    ['NOT_COPIED', 'a search, where a formula gives a text', { search: 'an' }],
    ['ORDER_NOT_DOCUMENTED', 'the order of texts', { sort: [{ field: 'Name' }] }],
    [
      'ORDER_NOT_DOCUMENTED',
      'the order of several choices',
      { sort: [{ field: 'Score' }, { field: 'Tags' }] },
    ],
    ['UPSTREAM_ONLY', 'a formula', { formula: '1' }],
    ['UPSTREAM_ONLY', 'a view', { view: 'All contacts' }],
    ['NO_COPY', 'a table without a copy', { t: 'Deals', names: ['Name'] }],
    ['TOO_OLD', 'anything that is older than it may be', { maxAge: 'PT0S' }],
  ])('%s: %s comes live, and says so', async (because, _what, asked) => {
    const { page, errors } = await list({ names: ['Name'], first: 3, maxAge: 'PT1H', ...asked });
    expect(errors).toBeUndefined();
    expect(page).toMatchObject({ source: 'LIVE', liveBecause: because });
    expect(page.nodes).toHaveLength(3);
  });

  test('what live refuses is refused, however fresh the copy', async () => {
    const refused = { filter: { field: 'Name', eq: 'two\nlines' }, maxAge: 'PT1H' };
    expect((await list(refused)).errors).toMatchObject([{ extensions: { code: 'FILTER_NOT_EXACT' } }]);
    const link = { field: 'Company', hasRecord: 'recAnyCompany0001' };
    for (const text of ['two\nlines', 'a\u0000', '\ud83d'])
      for (const beside of [link, { or: [] }])
        for (const maxAge of ['PT1H', undefined]) {
          const { errors } = await list({
            filter: { and: [beside, { field: 'Name', eq: text }] },
            maxAge,
          });
          expect(errors).toMatchObject([{ extensions: { code: 'FILTER_NOT_EXACT' } }]);
        }
    for (const maxAge of ['P1M', 'P31D', '-PT1S'])
      expect((await list({ maxAge })).errors).toMatchObject([{ extensions: { code: 'INVALID_INPUT' } }]);
  });
});

describe('a cursor', () => {
  test('of the copy goes on there, and only there', async () => {
    const asked = { first: 2, sort: [{ field: 'Score' }] };
    const { page } = await list({ ...asked, maxAge: 'PT1H' });
    const after = page.pageInfo.endCursor;
    const next = await list({ ...asked, after, maxAge: 'PT30M' });
    expect(next.page).toMatchObject({ source: 'COPY', pageInfo: { hasPreviousPage: true } });
    expect((await list({ ...asked, after })).errors).toMatchObject([
      { extensions: { code: 'CURSOR_INVALID' } },
    ]);
    const other = await list({ ...asked, after, maxAge: 'PT1H', filter: { field: 'VIP', eq: true } });
    expect(other.errors).toMatchObject([{ extensions: { code: 'CURSOR_INVALID' } }]);
    const gone = await list({ ...asked, names: ['Label'], after, maxAge: 'PT1H' });
    expect(gone.errors).toMatchObject([{ extensions: { code: 'CURSOR_EXPIRED' } }]);
  });

  test('that somebody made up does no harm', async () => {
    const { page } = await list({
      first: 1,
      sort: [{ field: 'Last contacted' }, { field: 'Status' }],
      maxAge: 'PT1H',
    });
    const parts = JSON.parse(Buffer.from(page.pageInfo.endCursor, 'base64url').toString()) as unknown[];
    for (const [place, part] of [
      [2, ["'; DROP TABLE syncs", 'Lead']],
      [2, ['2026-01-01', 'No choice']],
      [2, [1]],
      [3, 1e300],
      [4, 'rec\u0000'],
      [5, 'many'],
    ] as const) {
      const after = Buffer.from(JSON.stringify(parts.with(place, part))).toString('base64url');
      const { errors } = await list({
        first: 1,
        sort: [{ field: 'Last contacted' }, { field: 'Status' }],
        maxAge: 'PT1H',
        after,
      });
      expect(errors?.[0]?.extensions.code).toMatch(/^CURSOR_/);
    }
  });

  test(
    'never fails on what it holds, whatever that is',
    async () => {
      const asked = {
        first: 1,
        maxAge: 'PT1H',
        sort: ['Created', 'Status', 'Score', 'Birthday'].map((field) => ({ field })),
      };
      const { page } = await list(asked);
      const parts = JSON.parse(Buffer.from(page.pageInfo.endCursor, 'base64url').toString()) as unknown[];
      const day = fc.constantFrom('0000-01-01', '2026-02-30', '9999-12-31T23:59:59.999Z', '0001-01-01');
      const cell = fc.oneof(day, fc.string(), fc.double(), fc.boolean(), fc.constant(null));
      const forged = fc.oneof(
        fc.tuple(fc.constant(2), fc.array(cell, { minLength: 4, maxLength: 4 })),
        fc.tuple(
          fc.constant(2),
          day.map((one) => (parts[2] as unknown[]).with(0, one)),
        ),
        fc.tuple(fc.constant(3), fc.oneof(fc.constantFrom(-1e14, -62_135_596_800_001, 8e15), fc.double())),
        fc.tuple(fc.constantFrom(4, 5), fc.oneof(fc.string(), fc.double())),
      );
      await fc.assert(
        fc.asyncProperty(forged, async ([place, part]) => {
          const after = Buffer.from(JSON.stringify(parts.with(place, part))).toString('base64url');
          const { errors } = await list({ ...asked, after });
          expect(errors?.[0]?.extensions.code ?? 'CURSOR_').toMatch(/^CURSOR_/);
        }),
        { numRuns: repeats({ suite: 40, long: 2_000 }) },
      );
    },
    timeLimitMs,
  );

  test('of a live listing stays live', async () => {
    const asked = { first: 2, sort: [{ field: 'Score' }] };
    const { page } = await list(asked);
    const next = await list({ ...asked, after: page.pageInfo.endCursor, maxAge: 'PT1H' });
    expect(next.page).toMatchObject({ source: 'LIVE', liveBecause: 'LIVE_CURSOR' });
  });
});

describe('a copy that is too old', () => {
  const asked = { names: ['Name'], filter: { field: 'Name', startsWith: 'Own write' }, maxAge: 'PT1H' };
  const names = (page: UntypedData) => page.nodes.map(({ fields }: Row) => fields['Name']);
  const create = (on: TestApp, Name: string) =>
    on.graphql(
      `mutation ($c: Int!, $fields: JSON!) { createRecords(input: { connection: $c, baseId: "${crm}", tableId: "Contacts", records: [{ fields: $fields }] }) { ... on CreateRecordsSuccess { results { status } } ... on Error { message } } }`,
      { c: connection, fields: { Name } },
    );

  async function untilCopied(variables: Record<string, unknown>): Promise<UntypedData> {
    return until(async () => {
      const { page, errors } = await list(variables);
      expect(errors).toBeUndefined();
      return page.source === 'COPY' && page;
    }, 'the copy answers');
  }

  test('for a write through another instance goes live, asks for news, and has the write from then on', async () => {
    const other = await app.another();
    try {
      await untilCopied(asked);
      await control(app.sandbox.url, 'pings', { drop: true });
      expect((await create(other, 'Own write 1')).data.createRecords.results).toEqual([
        { status: 'WRITTEN' },
      ]);
      const first = await list(asked);
      expect(names(first.page)).toEqual(['Own write 1']);
      if (first.page.source === 'LIVE') expect(first.page.liveBecause).toBe('TOO_OLD');
      expect(names(await untilCopied(asked))).toEqual(['Own write 1']);
    } finally {
      await control(app.sandbox.url, 'pings', { drop: false });
      await other.close();
    }
  });

  test('for a write whose answer was lost goes live, too', async () => {
    const fault = {
      match: { method: 'POST', path: `/v0/${crm}/tblDEF456` },
      times: 1,
      kind: 'reset',
      effect: 'after',
    };
    await control(app.sandbox.url, 'faults', fault);
    expect((await create(app, 'Own write 2')).data.createRecords.results).toEqual([
      { status: 'OUTCOME_UNKNOWN' },
    ]);
    expect(names((await list(asked)).page)).toEqual(['Own write 1', 'Own write 2']);
    expect(names(await untilCopied(asked))).toEqual(['Own write 1', 'Own write 2']);
  });

  test('for a write whose outcome could not be stored goes live, too', async () => {
    await control(app.sandbox.url, 'pings', { drop: true });
    await app.database.query(`
      CREATE FUNCTION refuse_outcome() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'full'; END $$;
      CREATE TRIGGER refuse BEFORE UPDATE ON write_tens FOR EACH ROW EXECUTE FUNCTION refuse_outcome()`);
    try {
      expect((await create(app, 'Own write 3')).data.createRecords.results).toEqual([{ status: 'WRITTEN' }]);
      expect(names((await list(asked)).page)).toContain('Own write 3');
    } finally {
      await app.database.query('DROP TRIGGER refuse ON write_tens; DROP FUNCTION refuse_outcome');
      await control(app.sandbox.url, 'pings', { drop: false });
    }
  });

  test('lets the next page of a listing wait until it is young enough', async () => {
    const listing = { names: ['Name'], first: 2, maxAge: 'PT1H', sort: [{ field: 'Score' }] };
    const page = await untilCopied(listing);
    await create(app, 'Own write 3');
    const next = await until(async () => {
      const { page: told, errors } = await list({ ...listing, after: page.pageInfo.endCursor });
      if (errors) expect(errors).toMatchObject([{ extensions: { code: 'COPY_TOO_OLD' } }]);
      return told;
    }, 'the listing goes on');
    expect(next).toMatchObject({ source: 'COPY', pageInfo: { hasPreviousPage: true } });
  });

  test('for a field that came later answers nothing about it until the table was read again', async () => {
    // A reading that begins later would have the field.
    const isRead = `SELECT 1 FROM syncs WHERE id = $1 AND run_finished_at IS NOT NULL AND reread_because IS NULL`;
    await until(
      async () => (await app.database.query(isRead, [contacts.id])).length > 0,
      'no reading is under way',
    );
    const addField = { tableId: 'Contacts', name: 'Nickname', type: 'singleLineText' };
    await control(app.sandbox.url, 'schema', { baseId: crm, addField });
    const withField = { names: ['Nickname'], maxAge: 'PT1H' };
    const first = await until(async () => {
      const { page, errors } = await list(withField);
      return !errors && page.liveBecause !== 'TOO_OLD' && page;
    }, 'the field is there');
    expect(first).toMatchObject({ source: 'LIVE', liveBecause: 'NOT_COPIED' });
    await mutate(app, 'reconcileSync', { id: contacts.id });
    const page = await until(async () => {
      const told = await list(withField);
      return told.page.source === 'COPY' && told.page;
    }, 'the copy has the field');
    expect(page.nodes[0].fields).toEqual({ Nickname: null });
  });
});

describe('the order of choices', () => {
  const asked = {
    names: ['Status'],
    first: 3,
    sort: [{ field: 'Status', direction: 'DESC' }],
    maxAge: 'PT1H',
  };
  const statusId = `(SELECT c->>'fieldId' FROM syncs AS s, jsonb_array_elements(s.columns) AS c WHERE s.id = $1 AND c->>'fieldName' = 'Status')`;
  const isCopy = async () => (await list(asked)).page.source === 'COPY';

  test('that the copy has otherwise is not sorted by, until the fields were looked at again', async () => {
    await until(isCopy, 'the copy answers');
    await app.database.query(
      `UPDATE syncs SET field_shapes = jsonb_set(field_shapes, ARRAY[${statusId}, 'order'], '["selOther"]') WHERE id = $1`,
      [contacts.id],
    );
    expect((await list(asked)).page).toMatchObject({ source: 'LIVE', liveBecause: 'NOT_COPIED' });
    await control(app.sandbox.url, 'schema', {
      baseId: crm,
      addField: { tableId: 'Contacts', name: 'Hobby', type: 'singleLineText' },
    });
    await until(isCopy, 'the copy has the order of now');
  });

  test('that lacks a choice which a record has is not sorted by', async () => {
    const { page } = await list({ ...asked, filter: { field: 'Status', eq: 'Lead' } });
    const setStatus = (status: string) =>
      app.database.query(
        `UPDATE copied_records SET cells = jsonb_set(cells, ARRAY[${statusId}], to_jsonb($3::text)) WHERE sync_id = $1 AND record_id = $2`,
        [contacts.id, page.nodes[0].id, status],
      );
    await setStatus('Unheard of');
    for (const direction of ['ASC', 'DESC']) {
      const sort = [{ field: 'Status', direction }];
      const filter = { field: 'Status', isEmpty: false };
      expect((await list({ ...asked, sort, filter })).page).toMatchObject({ liveBecause: 'NOT_COPIED' });
    }
    await setStatus('Lead');
  });
});

describe('a text that the database can not store', () => {
  test('is read live, record by record, and the rest of the page from the copy', async () => {
    const Email = 'unstorable@example.com';
    await edit(app, {
      create: [{ fields: { Name: 'zero \u0000 half \ud83d', Email } }, { fields: { Name: 'plain', Email } }],
    });
    const asked = { names: ['Name'], filter: { field: 'Email', eq: Email }, maxAge: 'PT1H' };
    const page = await until(async () => {
      const told = await list(asked);
      return told.page.source === 'COPY' && told.page.nodes.length === 2 && told.page;
    }, 'the copy has both');
    expect(byId(page.nodes)).toEqual(byId((await list({ ...asked, maxAge: null })).page.nodes));
    const sought = await list({ ...asked, filter: { field: 'Name', contains: '\ufffd' } });
    expect(sought.page).toMatchObject({ source: 'LIVE', liveBecause: 'NOT_COPIED' });
    await edit(app, { destroy: page.nodes.map(({ id }: Row) => id) });
  });
});

describe('a copy that takes long to search', () => {
  test('holds up neither the deadline of an operation nor the database for others', async () => {
    const holder = new pg.Client({ connectionString: app.database.url });
    await holder.connect();
    try {
      await holder.query('BEGIN; LOCK TABLE copied_records IN ACCESS EXCLUSIVE MODE');
      const pages = [0, 1, 2, 3].map(
        (n) =>
          `p${n}: records(filter: { field: "Name", contains: "nobody ${n}" }, maxAge: "PT1H", first: 1) { nodes { id name: text(field: "Name") } }`,
      );
      const search = () =>
        app.graphql(
          `query ($c: Int!) { base(connection: $c, baseId: "${crm}") { table(id: "Companies") { ${pages.join(' ')} } } }`,
          { c: connection },
          { headers: { 'x-deadline-ms': '3000' } },
        );
      const slow = Promise.all(Array.from({ length: 5 }, search));
      const others = [];
      while (others.length < 5) others.push(await app.graphql('{ apiKeys { name } }'));
      expect(others.flatMap(({ errors }) => errors ?? [])).toEqual([]);
      const errors = (await slow).flatMap((one) => one.errors ?? []);
      const codes = errors.map(({ extensions }) => extensions.code);
      expect(new Set(codes)).toEqual(new Set(['DEADLINE_EXCEEDED']));
    } finally {
      await holder.end();
    }
  });
});

describe('of several copies of a table', () => {
  test('the youngest that fits answers', async () => {
    const asked = { t: 'Companies', names: ['Name'], maxAge: 'PT1H' };
    const second = await createSync(app, connection, { tableId: 'Companies' });
    await until(async () => (await readSync(app, second.id)).state === 'LIVE', 'the second copy is filled');
    await app.database.query(
      `UPDATE syncs SET field_shapes = '{}', as_of = clock_timestamp() + interval '1 hour' WHERE id = $1`,
      [second.id],
    );
    expect((await list(asked)).page).toMatchObject({ source: 'COPY' });
  });
});

describe('when a record was created', () => {
  const setCreated = (recordId: string) =>
    app.database.query(
      `INSERT INTO copied_records (sync_id, record_id, created_time, cells) VALUES ($1, $2, '2001-01-01', '{}')
       ON CONFLICT (sync_id, record_id) DO UPDATE SET created_time = excluded.created_time`,
      [contacts.id, recordId],
    );
  const isRight = async ({ id, createdTime }: Row) => {
    const [row] = (await app.database.query(
      'SELECT created_time AS at FROM copied_records WHERE sync_id = $1 AND record_id = $2',
      [contacts.id, id],
    )) as { at: Date }[];
    return row?.at.toISOString() === createdTime;
  };

  test('is told by its creation, whatever was believed until then', async () => {
    await control(app.sandbox.url, 'pings', { drop: true });
    const { data } = await app.graphql(
      `mutation ($c: Int!) { createRecords(input: { connection: $c, baseId: "${crm}", tableId: "Contacts", records: [{ fields: {} }] }) { ... on CreateRecordsSuccess { results { record { id createdTime } } } ... on Error { message } } }`,
      { c: connection },
    );
    const made: Row = data.createRecords.results[0].record;
    await setCreated(made.id);
    await control(app.sandbox.url, 'pings', { drop: false });
    await list({ names: ['Name'], maxAge: 'PT0S' });
    await until(() => isRight(made), 'the log has told when it was created');
  });

  test('is compared when the table is read again', async () => {
    const { page } = await list({ names: ['Name'], first: 1 });
    const [record]: Row[] = page.nodes;
    await setCreated(record!.id);
    await mutate(app, 'reconcileSync', { id: contacts.id });
    await until(() => isRight(record!), 'the reading has told when it was created');
  });
});

describe('a copy', () => {
  test('is not for those who may not see its base, nor for a connection that has ended', async () => {
    const key = await keyFor(['appOther00000001']);
    const asked = { c: connection, t: 'Contacts', names: ['Name'], maxAge: 'PT1H' };
    expect((await app.graphql(document, asked, { key })).errors).toMatchObject([
      { extensions: { code: 'BASE_NOT_FOUND' } },
    ]);
    expect((await list(asked)).page.source).toBe('COPY');
    await app.graphql(
      'mutation ($c: Int!) { disconnectConnection(input: { connection: $c }) { __typename ... on Error { message } } }',
      { c: connection },
    );
    expect((await list(asked)).errors).toMatchObject([{ extensions: { code: 'CONNECTION_NOT_CONNECTED' } }]);
  });

  async function keyFor(bases: string[]): Promise<string> {
    const { data, errors } = await app.graphql(
      'mutation ($bases: [String!]) { createApiKey(input: { name: "Elsewhere", role: VIEWER, bases: $bases }) { ... on CreateApiKeySuccess { key } ... on Error { message } } }',
      { bases },
    );
    if (!data?.createApiKey.key) throw new Error(JSON.stringify(errors ?? data));
    return data.createApiKey.key;
  }
});

const sortable = [
  ...['Status', 'VIP', 'Score', 'Rating', 'Budget', 'Engagement', 'Birthday', 'Last contacted'],
  ...['Call duration', 'Created'],
];

/** Conditions on a field, mostly with values that some records have. Null where there is no filter for such fields. */
function conditionsOn(field: string, rows: readonly Row[]): fc.Arbitrary<RecordFilter> | null {
  const cells = rows.map(({ fields }) => fields[field]).filter((cell) => cell !== null && cell !== false);
  const cell = fc.constantFrom(...cells);
  const with_ = (operators: string[], value: fc.Arbitrary<unknown>) =>
    fc.tuple(fc.constantFrom(...operators), value).map(([operator, one]): RecordFilter => {
      return {
        field,
        [operator]: ['in', 'notIn', 'hasAny', 'hasAll', 'hasNone'].includes(operator) ? [one].flat() : one,
      };
    });
  const empty = fc.boolean().map((isEmpty): RecordFilter => ({ field, isEmpty }));
  switch (field) {
    case 'Badge':
      return null;
    case 'VIP':
      return with_(['eq', 'ne'], fc.boolean());
    case 'Status':
      return fc.oneof(with_(['eq', 'ne', 'in', 'notIn'], cell), empty);
    case 'Tags':
      return fc.oneof(
        with_(
          ['hasAny', 'hasAll', 'hasNone'],
          fc.constantFrom('Newsletter', 'Partner', 'Press', 'Événement'),
        ),
        empty,
      );
    case 'Company':
    case 'Deals':
      return with_(['hasRecord'], fc.constantFrom(...(cells.flat() as string[])));
    case 'Birthday':
      return fc.oneof(
        with_(
          ['eq', 'ne', 'gt', 'gte', 'lt', 'lte', 'before', 'after'],
          cell.filter((one) => String(one) >= '1'),
        ),
        empty,
      );
    case 'Created':
    case 'Last contacted':
      return fc.oneof(
        with_(['eq', 'ne', 'gt', 'gte', 'lt', 'lte'], cell),
        with_(
          ['eq', 'gt', 'lt'],
          cell.map((one) => String(one).slice(0, 10)),
        ).map((one) => ({
          ...one,
          timeZone: 'America/New_York',
        })),
        empty,
      );
    case 'Score':
    case 'Rating':
    case 'Budget':
    case 'Engagement':
    case 'Call duration':
      return fc.oneof(with_(['eq', 'ne', 'gt', 'gte', 'lt', 'lte', 'in', 'notIn'], cell), empty);
    default: {
      const piece = fc.oneof(
        hostileText.filter((text) => text !== ''),
        fc.tuple(cell, fc.nat(5), fc.integer({ min: 1, max: 6 })).map(([text, from, length]) => {
          return [...String(text)].slice(from, from + length).join('') || 'a';
        }),
      );
      return fc.oneof(
        with_(['eq', 'ne', 'in', 'notIn'], cell),
        with_(['contains', 'startsWith', 'eq'], piece),
        with_(['contains', 'startsWith', 'eq'], piece).map((one) => ({ ...one, ignoreCase: true })),
        empty,
      );
    }
  }
}
