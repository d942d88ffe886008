import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { createSandbox, type Sandbox } from '../../../sandbox/sandbox.ts';
import type { ChangePayload } from '../../../sandbox/webhooks/payload.ts';
import { control } from '../../support/sandbox-call.ts';
import { grantToken } from '../../support/sandbox-grant.ts';
import { BASE_ID, CONTACTS, WEBHOOKS, WebhookCalls } from './webhook-calls.ts';

const DAY_MS = 86_400_000;
const DATA = { dataTypes: ['tableData'], recordChangeScope: CONTACTS };

let sandbox: Sandbox;
let calls: WebhookCalls;
beforeAll(async () => {
  sandbox = await createSandbox({ size: 'small' });
});
afterAll(() => sandbox.close());
beforeEach(async () => {
  sandbox.context.reset();
  sandbox.context.settings.changeLimits({
    requestsPerSecond: 0,
    accessTokenLifetimeMs: 1e12,
    webhooksPerClientAndBase: 10,
  });
  calls = new WebhookCalls(sandbox, (await grantToken(sandbox.url)).accessToken);
});

/** The only payload of a webhook. */
async function onlyPayload(webhookId: string): Promise<ChangePayload> {
  const { payloads } = await calls.payloads(webhookId);
  expect(payloads).toHaveLength(1);
  return payloads[0] as ChangePayload;
}

async function contactsPart(webhookId: string) {
  return (await onlyPayload(webhookId)).changedTablesById?.[CONTACTS];
}

describe('the payload list', () => {
  test('of a webhook without changes is empty, with the cursor that was asked for', async () => {
    const { id } = await calls.create();
    expect(await calls.payloads(id)).toEqual({ cursor: 1, mightHaveMore: false, payloads: [] });
    expect(await calls.payloads(id, '?cursor=7')).toEqual({ cursor: 7, mightHaveMore: false, payloads: [] });
  });

  test('has one payload for each write, in order, and numbers that rise by one', async () => {
    const { id } = await calls.create(DATA);
    for (const name of ['A', 'B', 'C']) await calls.createContact({ Name: name });
    const all = await calls.payloads(id);
    expect(all).toMatchObject({ cursor: 4, mightHaveMore: false });
    const numbers = all.payloads.map(({ baseTransactionNumber }) => baseTransactionNumber);
    expect(numbers).toEqual([...numbers].sort((a, b) => a - b));
    expect(await calls.listed(id)).toMatchObject({ cursorForNextPayload: 4 });
    expect(await calls.payloads(id, '?cursor=1&limit=2')).toMatchObject({ cursor: 3, mightHaveMore: true });
    const rest = await calls.payloads(id, '?cursor=3&limit=2');
    expect(rest).toEqual({ cursor: 4, mightHaveMore: false, payloads: all.payloads.slice(2) });
  });

  test('gives at most 50 at once', async () => {
    const { id } = await calls.create(DATA);
    for (let i = 0; i < 51; i += 1) await calls.edit({ create: [{ fields: { Name: `N${i}` } }] });
    const first = await calls.payloads(id);
    expect(first).toMatchObject({ cursor: 51, mightHaveMore: true });
    expect(first.payloads).toHaveLength(50);
    expect(await calls.payloads(id, '?cursor=51')).toMatchObject({ cursor: 52, mightHaveMore: false });
  });

  test.each(['cursor=0', 'cursor=-1', 'cursor=x', 'cursor=1.5', 'limit=0', 'limit=51'])(
    'refuses %s',
    async (query) => {
      const { id } = await calls.create();
      expect((await calls.call('GET', `${WEBHOOKS}/${id}/payloads?${query}`)).status).toBe(422);
    },
  );

  test('loses payloads after 7 days, read or not, and keeps counting', async () => {
    const { id } = await calls.create(DATA);
    await calls.createContact({ Name: 'Old' });
    await calls.payloads(id);
    await control(sandbox.url, 'POST', 'clock', { advanceMs: 4 * DAY_MS });
    await calls.createContact({ Name: 'Middle' });
    await calls.payloads(id);
    await control(sandbox.url, 'POST', 'clock', { advanceMs: 4 * DAY_MS });
    await calls.createContact({ Name: 'New' });
    const kept = await calls.payloads(id, '?cursor=1');
    expect(kept.payloads).toHaveLength(2);
    expect(kept.cursor).toBe(4);
    await control(sandbox.url, 'POST', 'clock', { advanceMs: 6 * DAY_MS });
    await calls.payloads(id);
    await control(sandbox.url, 'POST', 'clock', { advanceMs: 2 * DAY_MS });
    expect((await calls.payloads(id)).payloads).toEqual([]);
    await calls.createContact({ Name: 'Newest' });
    expect(await calls.payloads(id)).toMatchObject({ cursor: 5, payloads: [expect.anything()] });
  });
});

describe('a payload', () => {
  test('of a record created by the API has the fields that were set, in the V2 form, and its author', async () => {
    const { id } = await calls.create({
      ...DATA,
      watchDataInFieldIds: [calls.field('Name'), calls.field('Status')],
    });
    const recordId = await calls.createContact({ Name: 'Ada', Status: 'Lead', Notes: 'not watched' });
    const payload = await onlyPayload(id);
    expect(payload).toEqual({
      timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
      baseTransactionNumber: expect.any(Number),
      payloadFormat: 'v0',
      actionMetadata: {
        source: 'publicApi',
        sourceMetadata: {
          user: {
            id: 'usrAdaLovelace001',
            email: 'ada@example.com',
            name: 'Ada Lovelace',
            permissionLevel: 'create',
          },
        },
      },
      changedTablesById: {
        [CONTACTS]: {
          createdRecordsById: {
            [recordId]: {
              createdTime: expect.any(String),
              cellValuesByFieldId: {
                [calls.field('Name')]: 'Ada',
                [calls.field('Status')]: expect.objectContaining({
                  id: expect.stringMatching(/^sel/),
                  name: 'Lead',
                }),
              },
            },
          },
        },
      },
    });
  });

  test('of an update has only what changed', async () => {
    const recordId = await calls.createContact({ Name: 'Ada', Notes: 'n' });
    const { id } = await calls.create({ ...DATA, watchDataInFieldIds: [calls.field('Name')] });
    await calls.call('PATCH', `/v0/${BASE_ID}/${CONTACTS}/${recordId}`, { fields: { Name: 'Grace' } });
    expect(await contactsPart(id)).toEqual({
      changedRecordsById: {
        [recordId]: { current: { cellValuesByFieldId: { [calls.field('Name')]: 'Grace' } } },
      },
    });
  });

  test('of a cleared cell has null', async () => {
    const recordId = await calls.createContact({ Name: 'Ada', Notes: 'n' });
    const { id } = await calls.create({ ...DATA, watchDataInFieldIds: [calls.field('Notes')] });
    await calls.edit({ update: [{ id: recordId, fields: { Notes: null } }] });
    const part = await contactsPart(id);
    expect(part?.changedRecordsById?.[recordId]?.current.cellValuesByFieldId).toEqual({
      [calls.field('Notes')]: null,
    });
  });

  test('of a deletion has the ids', async () => {
    const recordId = await calls.createContact({ Name: 'Ada' });
    const { id } = await calls.create(DATA);
    await calls.call('DELETE', `/v0/${BASE_ID}/${CONTACTS}/${recordId}`);
    expect(await contactsPart(id)).toEqual({ destroyedRecordIds: [recordId] });
  });

  test.each([
    ['includePreviousCellValues', { includePreviousCellValues: true }, ['current', 'previous']],
    ['includeCellValuesInFieldIds: all', { includeCellValuesInFieldIds: 'all' }, ['current', 'unchanged']],
    [
      'both',
      { includePreviousCellValues: true, includeCellValuesInFieldIds: 'all' },
      ['current', 'previous', 'unchanged'],
    ],
    ['neither', {}, ['current']],
  ])('with %s has exactly those values', async (_case, includes, keys) => {
    const recordId = await calls.createContact({ Name: 'Ada', Notes: 'n' });
    const { id } = await calls.create(DATA, { includes });
    await calls.edit({ update: [{ id: recordId, fields: { Name: 'Grace' } }] });
    const change = (await contactsPart(id))?.changedRecordsById?.[recordId];
    expect(Object.keys(change ?? {}).sort()).toEqual(keys);
    if (change?.previous) expect(change.previous.cellValuesByFieldId[calls.field('Name')]).toBe('Ada');
    if (change?.unchanged) expect(change.unchanged.cellValuesByFieldId[calls.field('Notes')]).toBe('n');
    if (change?.unchanged)
      expect(change.unchanged.cellValuesByFieldId).not.toHaveProperty(calls.field('Name'));
  });

  test('with a list of fields to include has only their values, also of fields that changed unwatched', async () => {
    const recordId = await calls.createContact({ Name: 'Ada', Notes: 'n', Email: 'a@example.com' });
    const { id } = await calls.create(
      { ...DATA, watchDataInFieldIds: [calls.field('Name')] },
      { includes: { includeCellValuesInFieldIds: [calls.field('Notes')] } },
    );
    await calls.edit({ update: [{ id: recordId, fields: { Name: 'Grace', Notes: 'changed' } }] });
    expect(await contactsPart(id)).toEqual({
      changedRecordsById: {
        [recordId]: {
          current: { cellValuesByFieldId: { [calls.field('Name')]: 'Grace' } },
          unchanged: { cellValuesByFieldId: { [calls.field('Notes')]: 'changed' } },
        },
      },
    });
  });

  test('of a link shows id and name of the linked records', async () => {
    const [deal] = [...sandbox.context.records.of(dealsTableId()).values()];
    const { id } = await calls.create({ ...DATA, watchDataInFieldIds: [calls.field('Deals')] });
    const recordId = await calls.createContact({ Name: 'Ada', Deals: [deal?.id] });
    const cells = (await contactsPart(id))?.createdRecordsById?.[recordId]?.cellValuesByFieldId;
    expect(cells?.[calls.field('Deals')]).toEqual([{ id: deal?.id, name: expect.any(String) }]);
  });

  function dealsTableId(): string {
    return sandbox.context.bases.findTable(BASE_ID, 'Deals')?.id ?? '';
  }
});

describe('filters', () => {
  test.each([
    ['add', ['createdRecordsById']],
    ['update', ['changedRecordsById']],
    ['remove', ['destroyedRecordIds']],
  ])('changeTypes %s lets only those through', async (changeType, keys) => {
    const { id } = await calls.create({ ...DATA, changeTypes: [changeType] });
    const recordId = await calls.createContact({ Name: 'Ada' });
    await calls.edit({ update: [{ id: recordId, fields: { Name: 'Grace' } }] });
    await calls.edit({ destroy: [recordId] });
    expect(Object.keys((await contactsPart(id)) ?? {})).toEqual(keys);
  });

  test.each([
    ['client', { user: expect.objectContaining({ id: 'usrAdaLovelace001' }) }],
    ['publicApi', { user: expect.objectContaining({ id: 'usrAdaLovelace001' }) }],
    ['formSubmission', { viewId: expect.stringMatching(/^viw/) }],
    ['formPageSubmission', { pageId: expect.stringMatching(/^pbd/) }],
    ['automation', { automationId: expect.any(String) }],
    ['system', undefined],
    ['sync', undefined],
    ['anonymousUser', undefined],
  ])('fromSources %s lets only that source through, with its metadata', async (source, sourceMetadata) => {
    const { id } = await calls.create({ ...DATA, fromSources: [source] });
    const other = source === 'client' ? 'sync' : 'client';
    await calls.edit({ create: [{ fields: { Name: 'Other' } }], source: other });
    await calls.edit({ create: [{ fields: { Name: 'Wanted' } }], source });
    expect((await onlyPayload(id)).actionMetadata).toEqual({
      source,
      ...(sourceMetadata && { sourceMetadata }),
    });
  });

  test('sourceOptions let only the named form through', async () => {
    const form = calls.view('New contact');
    const other = calls.view('All contacts');
    const right = await calls.create({ ...DATA, sourceOptions: { formSubmission: { viewId: form } } });
    const wrong = await calls.create({ ...DATA, sourceOptions: { formSubmission: { viewId: other } } });
    await calls.edit({ create: [{ fields: { Name: 'By form' } }], source: 'formSubmission' });
    expect((await calls.payloads(right.id)).payloads).toHaveLength(1);
    expect((await calls.payloads(wrong.id)).payloads).toEqual([]);
  });

  test('recordChangeScope with a table leaves out the other tables', async () => {
    const companies = sandbox.context.bases.findTable(BASE_ID, 'Companies')?.id ?? '';
    const scoped = await calls.create({ dataTypes: ['tableData'], recordChangeScope: companies });
    const whole = await calls.create({ dataTypes: ['tableData'] });
    await calls.edit({ create: [{ fields: { Name: 'Ada' } }] });
    expect((await calls.payloads(scoped.id)).payloads).toEqual([]);
    expect((await calls.payloads(whole.id)).payloads).toHaveLength(1);
    await calls.edit({ tableId: companies, create: [{ fields: { Name: 'ACME' } }] });
    expect(Object.keys((await onlyPayload(scoped.id)).changedTablesById ?? {})).toEqual([companies]);
  });

  test('recordChangeScope with a view tells what enters, changes within, and leaves it', async () => {
    const view = calls.view('Active contacts');
    const [outside = '', inside = ''] = await calls.edit({
      create: [
        { fields: { Name: 'Outside', Status: 'Lead' } },
        { fields: { Name: 'Inside', Status: 'Active' } },
      ],
    });
    const { id } = await calls.create({ dataTypes: ['tableData'], recordChangeScope: view });
    await calls.edit({ update: [{ id: outside, fields: { Notes: 'not in the view' } }] });
    await calls.edit({ update: [{ id: outside, fields: { Status: 'Active' } }] });
    await calls.edit({ update: [{ id: inside, fields: { Notes: 'seen' } }] });
    await calls.edit({ update: [{ id: inside, fields: { Status: 'Lead' } }] });
    await calls.edit({ destroy: [outside] });
    const { payloads } = await calls.payloads(id);
    const parts = payloads.map((payload) => (payload as ChangePayload).changedTablesById?.[CONTACTS]);
    for (const part of parts) expect(Object.keys(part ?? {})).toEqual(['changedViewsById']);
    const views = parts.map((part) => part?.changedViewsById?.[view]);
    expect(views.map((part) => Object.keys(part ?? {}))).toEqual([
      ['createdRecordsById'],
      ['changedRecordsById'],
      ['destroyedRecordIds'],
      ['destroyedRecordIds'],
    ]);
    expect(views[0]?.createdRecordsById?.[outside]).toMatchObject({
      createdTime: expect.stringMatching(/Z$/),
      cellValuesByFieldId: { [calls.field('Name')]: 'Outside' },
    });
    expect(views[2]?.destroyedRecordIds).toEqual([inside]);
    expect(views[3]?.destroyedRecordIds).toEqual([outside]);
  });

  test('watchDataInFieldIds leaves out changes of other fields', async () => {
    const recordId = await calls.createContact({ Name: 'Ada' });
    const { id } = await calls.create({ ...DATA, watchDataInFieldIds: [calls.field('Email')] });
    await calls.edit({ update: [{ id: recordId, fields: { Notes: 'x' } }] });
    expect((await calls.payloads(id)).payloads).toEqual([]);
  });
});

describe('schema changes', () => {
  const FIELDS = { dataTypes: ['tableFields'] };

  test('a new field, a renamed and a removed one', async () => {
    const { id } = await calls.create(FIELDS);
    const { fieldId = '' } = await calls.schema({
      addField: { tableId: CONTACTS, name: 'Quantity', type: 'number', options: { precision: 0 } },
    });
    await calls.schema({ renameField: { tableId: CONTACTS, fieldId, name: 'Amount' } });
    await calls.schema({ removeField: { tableId: CONTACTS, fieldId } });
    const { payloads } = await calls.payloads(id);
    expect(payloads.map((payload) => (payload as ChangePayload).changedTablesById?.[CONTACTS])).toEqual([
      { createdFieldsById: { [fieldId]: { name: 'Quantity', type: 'number' } } },
      { changedFieldsById: { [fieldId]: { current: { name: 'Amount' } } } },
      { destroyedFieldIds: [fieldId] },
    ]);
  });

  test('previous definitions only with includePreviousFieldDefinitions', async () => {
    const { id } = await calls.create(FIELDS, { includes: { includePreviousFieldDefinitions: true } });
    const fieldId = calls.field('Notes');
    await calls.schema({ renameField: { tableId: CONTACTS, fieldId, name: 'Remarks' } });
    expect((await contactsPart(id))?.changedFieldsById).toEqual({
      [fieldId]: { current: { name: 'Remarks' }, previous: { name: 'Notes' } },
    });
  });

  test('watchSchemasOfFieldIds leaves out other fields', async () => {
    const { id } = await calls.create({ ...FIELDS, watchSchemasOfFieldIds: [calls.field('Notes')] });
    await calls.schema({
      renameField: { tableId: CONTACTS, fieldId: calls.field('Website'), name: 'Home page' },
    });
    expect((await calls.payloads(id)).payloads).toEqual([]);
    await calls.schema({
      renameField: { tableId: CONTACTS, fieldId: calls.field('Notes'), name: 'Remarks' },
    });
    expect((await calls.payloads(id)).payloads).toHaveLength(1);
  });

  test('a renamed table, with its previous name', async () => {
    const { id } = await calls.create({ dataTypes: ['tableMetadata'] });
    await calls.schema({ renameTable: { tableId: CONTACTS, name: 'People' } });
    expect((await contactsPart(id))?.changedMetadata).toMatchObject({
      current: { name: 'People' },
      previous: { name: 'Contacts' },
    });
  });

  test('a new table and its removal', async () => {
    const { id } = await calls.create({ dataTypes: ['tableData', 'tableFields', 'tableMetadata'] });
    const { tableId } = await calls.schema({ addTable: { name: 'Notes' } });
    await calls.schema({ removeTable: { tableId } });
    const [created, destroyed] = (await calls.payloads(id)).payloads as ChangePayload[];
    expect(created?.createdTablesById?.[tableId]).toEqual({
      metadata: { name: 'Notes', description: null },
      fieldsById: expect.any(Object),
      recordsById: {},
    });
    expect(destroyed?.destroyedTableIds).toEqual([tableId]);
  });

  test('dataTypes leave out what was not asked for', async () => {
    const { id } = await calls.create({ dataTypes: ['tableMetadata'] });
    await calls.createContact({ Name: 'Ada' });
    await calls.schema({
      renameField: { tableId: CONTACTS, fieldId: calls.field('Notes'), name: 'Remarks' },
    });
    expect((await calls.payloads(id)).payloads).toEqual([]);
  });
});

describe('an error payload', () => {
  test.each<[string, (tableId: string, fieldId: string, viewId: string) => Record<string, unknown>, string]>([
    [
      'the table of its scope',
      (tableId) => ({ dataTypes: ['tableData'], recordChangeScope: tableId }),
      'table',
    ],
    [
      'the view of its scope, with its table',
      (_t, _f, viewId) => ({ dataTypes: ['tableData'], recordChangeScope: viewId }),
      'table',
    ],
    [
      'a field whose data it watches',
      (_t, fieldId) => ({ dataTypes: ['tableData'], watchDataInFieldIds: [fieldId] }),
      'field',
    ],
    [
      'a field whose schema it watches',
      (_t, fieldId) => ({ dataTypes: ['tableFields'], watchSchemasOfFieldIds: [fieldId] }),
      'field',
    ],
  ])('comes when %s goes, and the webhook is off for good', async (_case, filters, what) => {
    const { tableId, fieldId, viewId } = await thingsToLose();
    const { id } = await calls.create(filters(tableId, fieldId, viewId));
    await calls.schema(
      what === 'table' ? { removeTable: { tableId } } : { removeField: { tableId, fieldId } },
    );
    expect((await calls.payloads(id)).payloads).toEqual([
      {
        timestamp: expect.any(String),
        baseTransactionNumber: expect.any(Number),
        payloadFormat: 'v0',
        actionMetadata: expect.objectContaining({ source: 'client' }),
        error: true,
        code: 'INVALID_FILTERS',
      },
    ]);
    expect(await calls.listed(id)).toMatchObject({ isHookEnabled: false, cursorForNextPayload: 2 });
    expect((await calls.call('POST', `${WEBHOOKS}/${id}/refresh`)).status).toBe(422);
    await calls.createContact({ Name: 'Ada' });
    expect((await calls.payloads(id)).payloads).toHaveLength(1);
  });

  test('does not come when a field goes whose values are merely included', async () => {
    const { tableId, fieldId } = await thingsToLose();
    const { id } = await calls.create(DATA, { includes: { includeCellValuesInFieldIds: [fieldId] } });
    await calls.schema({ removeField: { tableId, fieldId } });
    expect((await calls.payloads(id)).payloads).toEqual([]);
    expect(await calls.listed(id)).toMatchObject({ isHookEnabled: true });
  });

  async function thingsToLose(): Promise<{ tableId: string; fieldId: string; viewId: string }> {
    const { tableId } = await calls.schema({ addTable: { name: 'Short-lived' } });
    const { fieldId = '' } = await calls.schema({
      addField: { tableId, name: 'Extra', type: 'singleLineText' },
    });
    const viewId = sandbox.context.bases.table(tableId)?.views[0]?.id ?? '';
    return { tableId, fieldId, viewId };
  }
});
