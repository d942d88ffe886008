import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { startTestApp, walkFlow, type TestApp } from './support/app.ts';
import {
  ConnectConnectionDocument,
  ContactChangesDocument,
  CreateConnectionDocument,
  CreateContactDocument,
  DeleteContactDocument,
  DisconnectConnectionDocument,
  ReadConnectionDocument,
  ReadContactsDocument,
  UpdateContactDocument,
  type ContactChangesSubscription,
} from './support/generated/graphql.ts';
import { runOperation } from './support/run-operation.ts';
import { TestSubscription } from './support/subscription.ts';

type Event = ContactChangesSubscription['recordChanges'];
type RecordChange = Extract<Event, { __typename: 'RecordChange' }>;

let app: TestApp;
beforeAll(async () => {
  app = await startTestApp({ requestsPerSecond: 5 });
});
afterAll(() => app.close());

test('a person creates a connection, grants access, reads, writes, and sees the change arrive', async () => {
  const created = await runOperation(app, CreateConnectionDocument, {
    input: {
      type: 'calendly',
      name: 'Marketing Calendly Workspace',
      clientId: 'calendly_client_xyz789',
      clientSecret: 'secret_calendly_abc123',
    },
  });
  if (created.createConnection?.__typename !== 'CreateConnectionSuccess')
    throw new Error(JSON.stringify(created));
  expect(created.createConnection.connection).toMatchObject({ state: 'CONFIGURED', clientSecret: '***' });
  const connection = created.createConnection.connection.id;

  const begun = await runOperation(app, ConnectConnectionDocument, { connection });
  if (begun.connectConnection?.__typename !== 'ConnectConnectionSuccess')
    throw new Error(JSON.stringify(begun));
  const page = await walkFlow(begun.connectConnection.authorizationUrl);
  expect(page.text).toContain('Connected');

  const read = await runOperation(app, ReadConnectionDocument, { id: connection });
  expect(read.connection).toMatchObject({
    state: 'CONNECTED',
    missingScopes: [],
    availableActions: ['TEST', 'DISCONNECT'],
  });
  expect(read.connection?.bases?.nodes.map((base) => base?.name)).toEqual(
    expect.arrayContaining(['Marketing CRM', 'Countries of the World']),
  );

  const first = await runOperation(app, ReadContactsDocument, { connection });
  const contacts = first.base?.table?.records;
  expect(contacts?.nodes).toHaveLength(5);
  expect(contacts?.pageInfo.hasNextPage).toBe(true);
  const second = await runOperation(app, ReadContactsDocument, {
    connection,
    after: contacts?.pageInfo.endCursor,
  });
  const seen = [...(contacts?.nodes ?? []), ...(second.base?.table?.records?.nodes ?? [])].map(
    (contact) => contact.id,
  );
  expect(new Set(seen).size).toBe(10);

  const subscription = new TestSubscription<Event>(app.url, app.adminKey, String(ContactChangesDocument), {
    connection,
  });
  await subscription.until((event) => event.__typename === 'FeedPosition');

  const written = await runOperation(app, CreateContactDocument, {
    connection,
    fields: { Name: 'John Doe', Email: 'john@example.com', Status: 'Active' },
  });
  if (written.createRecords?.__typename !== 'CreateRecordsSuccess') throw new Error(JSON.stringify(written));
  const [result] = written.createRecords.results;
  expect(result).toMatchObject({ status: 'WRITTEN', error: null });
  expect(result?.record?.fields).toEqual({ Name: 'John Doe', Email: 'john@example.com', Status: 'Active' });
  const recordId = result?.record?.id ?? '';

  const isChange =
    (kind: RecordChange['kind']) =>
    (event: Event): event is RecordChange =>
      event.__typename === 'RecordChange' && event.recordId === recordId && event.kind === kind;
  const creation = await subscription.until(isChange('CREATED'));
  expect(creation.record?.name).toBe('John Doe');

  await runOperation(app, UpdateContactDocument, {
    connection,
    id: recordId,
    fields: { Name: 'John Q. Doe' },
  });
  const update = await subscription.until(isChange('UPDATED'));
  expect(update.fields).toContainEqual({ name: 'Name', previous: 'John Doe', current: 'John Q. Doe' });

  await runOperation(app, DeleteContactDocument, { connection, id: recordId });
  const deletion = await subscription.until(isChange('DELETED'));
  expect(deletion.record).toBeNull();
  await subscription.close();

  // Whoever comes back with a cursor sees what came after it, and nothing twice.
  const resumed = new TestSubscription<Event>(app.url, app.adminKey, String(ContactChangesDocument), {
    connection,
    after: creation.cursor,
  });
  await resumed.until(isChange('DELETED'));
  const kinds = resumed.events
    .filter((event): event is RecordChange => event.__typename === 'RecordChange')
    .map((change) => change.kind);
  expect(kinds).toEqual(['UPDATED', 'DELETED']);
  await resumed.close();

  const gone = await runOperation(app, DisconnectConnectionDocument, { connection });
  expect(gone.disconnectConnection).toEqual({
    __typename: 'DisconnectConnectionSuccess',
    tokensRevoked: true,
    webhooksDeleted: 1,
    connection: { state: 'DISCONNECTED' },
  });
});
