import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { ANN, BASE_ID, BOB, fieldId, THINGS_ID } from './fixture-base.ts';
import { RecordApi, type ShownRecord } from './record-api.ts';

const ADA = { id: 'usrAdaLovelace001', email: 'ada@example.com', name: 'Ada Lovelace' };
const GRACE = { id: 'usrGraceHopper002', email: 'grace@example.com', name: 'Grace Hopper' };
const LOW = { id: 'selLow00000000001', name: 'Low', color: 'blueLight2' };
const HIGH = { id: 'selHigh0000000002', name: 'High', color: 'redBright' };
const AVERAGE = { id: 'selAverage0000003', name: 'Average' };

let api: RecordApi;
beforeAll(async () => {
  api = await RecordApi.start();
});
afterAll(() => api[Symbol.asyncDispose]());

interface Row {
  type: string;
  field: string;
  /** What is written, and what is read back unless `read` says otherwise. */
  write: unknown;
  read?: unknown;
  /** Webhook form, where it differs. */
  v2?: unknown;
  /** Values that are refused. */
  refused: unknown[];
  /** A value that stands for an empty cell, other than null. */
  empty?: unknown;
}

const rows: Row[] = [
  { type: 'singleLineText', field: 'Name', write: 'A', refused: [1, true, ['A'], {}], empty: '' },
  { type: 'multilineText', field: 'Notes', write: 'a\nb', refused: [1], empty: '' },
  {
    type: 'multilineText with a mention',
    field: 'Notes',
    write: '<airtable:mention id="menE1i9oBaGX3DseR">@Ada</airtable:mention>',
    refused: [],
  },
  { type: 'richText', field: 'Rich', write: '**bold**\n', refused: [1], empty: '' },
  { type: 'email', field: 'Email', write: 'ann@example.com', refused: [1], empty: '' },
  { type: 'url', field: 'Site', write: 'https://example.com', refused: [1], empty: '' },
  { type: 'phoneNumber', field: 'Phone', write: '+33 1 23 45 67 89', refused: [33], empty: '' },
  { type: 'number', field: 'Number', write: -12.5, refused: ['12', true, [1]] },
  { type: 'number zero', field: 'Number', write: 0, refused: [] },
  { type: 'percent', field: 'Percent', write: 0.123, refused: ['12.3%'] },
  { type: 'currency', field: 'Price', write: 1234.5, refused: ['$1'] },
  { type: 'rating', field: 'Rating', write: 3, refused: [0, 6, 2.5, '3'] },
  { type: 'duration', field: 'Duration', write: 90.5, refused: ['0:01:30'] },
  { type: 'checkbox', field: 'Done', write: true, refused: ['true', 1], empty: false },
  {
    type: 'date',
    field: 'Day',
    write: '2026-01-31',
    refused: ['2026-02-30', '31/01/2026', 5, 'soon'],
    empty: '',
  },
  {
    type: 'dateTime with Z',
    field: 'When',
    write: '2026-01-31T07:00:00.000Z',
    refused: ['2026-13-01T00:00:00Z', 7],
  },
  {
    type: 'dateTime with an offset',
    field: 'When',
    write: '2026-01-31T07:00:00+02:00',
    read: '2026-01-31T05:00:00.000Z',
    refused: [],
  },
  {
    type: 'dateTime without offset, read in the zone of the field (winter)',
    field: 'When',
    write: '2026-01-31T07:00:00',
    read: '2026-01-31T06:00:00.000Z',
    refused: [],
  },
  {
    type: 'dateTime without offset, read in the zone of the field (summer)',
    field: 'When',
    write: '2026-07-31T07:00',
    read: '2026-07-31T05:00:00.000Z',
    refused: [],
  },
  {
    type: 'singleSelect',
    field: 'Level',
    write: 'High',
    v2: HIGH,
    refused: [1, { name: 'High' }],
    empty: '',
  },
  {
    type: 'multipleSelects',
    field: 'Tags',
    write: ['High', 'Average'],
    v2: [HIGH, AVERAGE],
    refused: ['High', [1]],
    empty: [],
  },
  {
    type: 'singleCollaborator by id',
    field: 'Owner',
    write: { id: GRACE.id },
    read: GRACE,
    v2: { ...GRACE, permissionLevel: 'edit' },
    refused: [GRACE.id, { id: 'usrUnknown0000001' }, {}],
  },
  {
    type: 'singleCollaborator by email',
    field: 'Owner',
    write: { email: 'grace@example.com' },
    read: GRACE,
    v2: { ...GRACE, permissionLevel: 'edit' },
    refused: [],
  },
  {
    type: 'multipleCollaborators as ids',
    field: 'Team',
    write: [ADA.id, GRACE.id],
    read: [ADA, GRACE],
    v2: [
      { ...ADA, permissionLevel: 'create' },
      { ...GRACE, permissionLevel: 'edit' },
    ],
    refused: [ADA.id, ['usrUnknown0000001']],
    empty: [],
  },
  {
    type: 'multipleCollaborators as objects',
    field: 'Team',
    write: [{ id: ADA.id }, { email: 'grace@example.com' }],
    read: [ADA, GRACE],
    v2: [
      { ...ADA, permissionLevel: 'create' },
      { ...GRACE, permissionLevel: 'edit' },
    ],
    refused: [],
  },
  {
    type: 'multipleRecordLinks',
    field: 'People',
    write: [BOB, ANN],
    v2: [
      { id: BOB, name: 'Bob' },
      { id: ANN, name: 'Ann' },
    ],
    refused: [BOB, ['Bob'], [1]],
    empty: [],
  },
  {
    type: 'barcode',
    field: 'Code',
    write: { text: '0123', type: 'upce' },
    refused: ['0123', {}, { text: 1 }],
  },
  { type: 'barcode without a type', field: 'Code', write: { text: '0123' }, refused: [] },
];

describe.each(rows)('$type', ({ field, write, read = write, v2 = read, refused, empty }) => {
  test('is read back as written, by name and by id', async () => {
    const { id } = await api.create(THINGS_ID, { [field]: write });
    expect((await api.read(id)).fields[field]).toEqual(read);
    const byId = await api.call<ShownRecord>(
      'GET',
      `/${BASE_ID}/${THINGS_ID}/${id}?returnFieldsByFieldId=true`,
    );
    expect(byId.body.fields[fieldId(field)]).toEqual(read);
  });

  test('has its webhook form in the ledger', async () => {
    const { id } = await api.create(THINGS_ID, { [fieldId(field)]: write });
    const change = api.sandbox.context.ledger
      .changes()
      .find(({ recordId, kind }) => recordId === id && kind === 'created');
    expect(change?.fields[fieldId(field)]).toEqual(v2);
  });

  test('is cleared by null and then left out', async () => {
    const { id } = await api.create(THINGS_ID, { [field]: write });
    const cleared = await api.call<ShownRecord>('PATCH', `/${BASE_ID}/${THINGS_ID}/${id}`, {
      fields: { [field]: null },
    });
    expect(cleared.status).toBe(200);
    expect(cleared.body.fields).not.toHaveProperty([field]);
  });

  if (empty !== undefined) {
    test(`is left out when written as ${JSON.stringify(empty)}`, async () => {
      const { id } = await api.create(THINGS_ID, { [field]: write });
      const cleared = await api.call<ShownRecord>('PATCH', `/${BASE_ID}/${THINGS_ID}/${id}`, {
        fields: { [field]: empty },
      });
      expect(cleared.status).toBe(200);
      expect(cleared.body.fields).not.toHaveProperty([field]);
    });
  }

  for (const value of refused) {
    test(`refuses ${JSON.stringify(value)}`, async () => {
      const answer = await api.call('POST', `/${BASE_ID}/${THINGS_ID}`, { fields: { [field]: value } });
      expect(answer.status).toBe(422);
      const message = `Field "${field}" cannot accept the provided value`;
      expect(answer.body).toEqual({ error: { type: 'INVALID_VALUE_FOR_COLUMN', message } });
    });
  }
});

const computed: { type: string; field: string; read: unknown; v2?: unknown }[] = [
  { type: 'button', field: 'Open', read: { label: 'Open', url: 'https://example.com/A' } },
  { type: 'autoNumber', field: 'Serial', read: expect.any(Number) },
  { type: 'count', field: 'People count', read: 2 },
  { type: 'createdTime', field: 'Created', read: expect.stringMatching(/^\d{4}-.*\.\d{3}Z$/) },
  { type: 'createdBy', field: 'Creator', read: ADA, v2: { ...ADA, permissionLevel: 'create' } },
  { type: 'formula', field: 'Double', read: 42 },
  { type: 'formula that failed', field: 'Broken', read: { error: '#ERROR!' } },
  { type: 'formula that is no number', field: 'Infinite', read: { specialValue: 'NaN' } },
  { type: 'rollup', field: 'Ages', read: 60 },
  {
    type: 'multipleLookupValues',
    field: 'Person levels',
    read: ['High', 'Low'],
    v2: { linkedRecordIds: [ANN, BOB], valuesByLinkedRecordId: { [ANN]: [HIGH], [BOB]: [LOW] } },
  },
];

describe('computed fields', () => {
  let record: ShownRecord;
  beforeAll(async () => {
    record = await api.create(THINGS_ID, { Name: 'A', Number: 21, People: [ANN, BOB] });
  });

  test.each(computed)('$type reads as $read', async ({ field, read }) => {
    expect((await api.read(record.id)).fields[field]).toEqual(read);
  });

  test.each(computed)('$type has its webhook form in the ledger', ({ field, read, v2 = read }) => {
    const change = api.sandbox.context.ledger.changes().find(({ recordId }) => recordId === record.id);
    expect(change?.fields[fieldId(field)]).toEqual(v2);
  });

  test('lastModifiedTime and lastModifiedBy are empty until a cell is changed', async () => {
    const { id, fields } = await api.create(THINGS_ID, { Name: 'B' });
    expect(fields).not.toHaveProperty('Modified');
    const path = `/${BASE_ID}/${THINGS_ID}/${id}`;
    const changed = await api.call<ShownRecord>('PATCH', path, { fields: { Name: 'C' } });
    expect(changed.body.fields).toMatchObject({ Modified: expect.stringMatching(/Z$/), Modifier: ADA });
  });

  test.each(['Open', 'Serial', 'People count', 'Created', 'Modified', 'Creator', 'Modifier'])(
    '%s is read only',
    refuses,
  );
  test.each(['Double', 'Ages', 'Person levels', 'Source', 'Summary'])('%s is read only', refuses);

  async function refuses(field: string): Promise<void> {
    const answer = await api.call('POST', `/${BASE_ID}/${THINGS_ID}`, { fields: { [field]: null } });
    const message = `Field "${field}" cannot accept a value because the field is computed`;
    expect(answer).toEqual({ status: 422, body: { error: { type: 'INVALID_VALUE_FOR_COLUMN', message } } });
  }
});

describe('multipleAttachments', () => {
  test('are added by URL, kept by id and removed by being left out', async () => {
    const files = [
      { url: 'https://example.com/a/plan.pdf' },
      { url: 'https://example.com/b.png', filename: 'photo.png' },
    ];
    const { id, fields } = await api.create(THINGS_ID, { Files: files });
    const [plan, photo] = fields['Files'] as { id: string; url: string }[];
    expect(plan).toEqual({
      id: expect.stringMatching(/^att[0-9A-Za-z]{14}$/),
      url: expect.stringContaining(`${api.sandbox.url}/_attachments/`),
      filename: 'plan.pdf',
      size: expect.any(Number),
      type: 'application/pdf',
    });
    const path = `/${BASE_ID}/${THINGS_ID}/${id}`;
    const changed = await api.call<ShownRecord>('PATCH', path, {
      fields: { Files: [{ id: photo?.id }, { url: 'https://example.com/c.txt' }] },
    });
    expect(changed.body.fields['Files']).toMatchObject([{ filename: 'photo.png' }, { filename: 'c.txt' }]);
  });

  test('have addresses that serve a file and expire after two hours', async () => {
    const { id } = await api.create(THINGS_ID, { Files: [{ url: 'https://example.com/a.txt' }] });
    const [file] = (await api.read(id)).fields['Files'] as { url: string }[];
    const url = file?.url ?? '';
    expect(await (await fetch(url)).text()).toContain('a.txt');
    expect((await fetch(url.replace('a.txt', 'b.txt'))).status).toBe(410);
    api.sandbox.context.clock.advance(2 * 3_600_000 + 60_000);
    expect((await fetch(url)).status).toBe(410);
    const [fresh] = (await api.read(id)).fields['Files'] as { url: string }[];
    expect((await fetch(fresh?.url ?? '')).status).toBe(200);
  });

  test.each([
    ['a text'],
    [{}],
    [{ url: 'ftp://example.com/x' }],
    [{ url: 5 }],
    [{ id: 'attUnknown0000001' }],
  ])('refuses %j', async (attachment) => {
    const answer = await api.call('POST', `/${BASE_ID}/${THINGS_ID}`, { fields: { Files: [attachment] } });
    expect(answer).toMatchObject({ status: 422, body: { error: { type: 'INVALID_ATTACHMENT_OBJECT' } } });
  });

  test('that can never be fetched vanish, and the answer says partialSuccess', async () => {
    const { fields, ...more } = await api.create(THINGS_ID, {
      Files: [{ url: 'https://nowhere.invalid/a.png' }],
    });
    expect(fields).not.toHaveProperty('Files');
    expect(more).toMatchObject({
      details: { message: 'partialSuccess', reasons: ['attachmentsFailedUploading'] },
    });
  });
});

describe('typecast', () => {
  const conversions: [field: string, given: unknown, read: unknown][] = [
    ['Name', 12, '12'],
    ['Number', '1,234.5', 1234.5],
    ['Number', '  ', undefined],
    ['Percent', '12.5%', 0.125],
    ['Price', '$1,200', 1200],
    ['Rating', '4', 4],
    ['Duration', '1:02:03', 3723],
    ['Done', 'checked', true],
    ['Done', 'false', undefined],
    ['Day', '1/31/2026', '2026-01-31'],
    ['Day', '2026-01-31T23:00:00.000Z', '2026-01-31'],
    ['When', 'Jan 31 2026 07:00', '2026-01-31T07:00:00.000Z'],
    ['Tags', 'Low, High', ['Low', 'High']],
    ['People', 'Ann', [ANN]],
    ['People', ['Bob', ANN], [BOB, ANN]],
    ['Owner', 'ada@example.com', ADA],
    ['Code', '0123', { text: '0123' }],
  ];

  test.each(conversions)('%s: %j becomes %j', async (field, given, read) => {
    const { fields } = await api.create(THINGS_ID, { [field]: given }, { typecast: true });
    expect(fields[field]).toEqual(read);
  });

  test('creates missing choices, with ids that the schema shows', async () => {
    const { fields } = await api.create(
      THINGS_ID,
      { Level: 'Brand new', Tags: ['Low', 'Also new'] },
      { typecast: true },
    );
    expect(fields).toMatchObject({ Level: 'Brand new', Tags: ['Low', 'Also new'] });
    const schema = await api.call<{ tables: { fields: { name: string; options?: unknown }[] }[] }>(
      'GET',
      `/meta/bases/${BASE_ID}/tables`,
    );
    const level = schema.body.tables[0]?.fields.find(({ name }) => name === 'Level');
    const created = { id: expect.stringMatching(/^sel[0-9A-Za-z]{14}$/), name: 'Brand new' };
    expect(level?.options).toMatchObject({ choices: expect.arrayContaining([created]) });
  });

  test.each([
    ['Level', 'Unheard of'],
    ['Tags', ['Low', 'Unheard of']],
  ])('without it, a new choice of %s is refused', async (field, value) => {
    const answer = await api.call('POST', `/${BASE_ID}/${THINGS_ID}?typecast=true`, {
      fields: { [field]: value },
    });
    const message = 'Insufficient permissions to create new select option "Unheard of"';
    expect(answer).toEqual({
      status: 422,
      body: { error: { type: 'INVALID_MULTIPLE_CHOICE_OPTIONS', message } },
    });
  });

  test('as a query parameter is ignored', async () => {
    const answer = await api.call('POST', `/${BASE_ID}/${THINGS_ID}?typecast=true`, {
      fields: { Number: '5' },
    });
    expect(answer.body).toMatchObject({ error: { type: 'INVALID_VALUE_FOR_COLUMN' } });
  });

  test.each([
    ['Number', 'many'],
    ['Day', 'soon'],
    ['People', 'Nobody of that name'],
    ['Owner', 'nobody@example.com'],
  ])('refuses what can not be read: %s %j', async (field, value) => {
    const body = { fields: { [field]: value }, typecast: true };
    const answer = await api.call('POST', `/${BASE_ID}/${THINGS_ID}`, body);
    expect(answer).toMatchObject({ status: 422, body: { error: { type: 'INVALID_VALUE_FOR_COLUMN' } } });
  });
});
