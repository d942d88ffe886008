import { TEST_CLIENT } from '../support/sandbox-grant.ts';

/** What an operation is about; the same operation about what does not exist has other ids. */
export interface Target {
  connection: number;
  baseId: string;
  recordId: string;
  webhookId: string;
  triggerId: string;
  syncId: string;
  keyId: number;
}

export interface Guard {
  /** The least role. */
  role: 'viewer' | 'editor' | 'admin';
  /** What a key has to reach; a base lies within its connection. */
  reach: 'anything' | 'connection' | 'base';
  /** The arguments of the field. */
  args?: (target: Target) => string;
  /** The field is there for everybody with the role, but shows this only to those who reach it. */
  shows?: (target: Target) => string;
  /** Ends what it is about, which therefore is made for one call. */
  ends?: 'connection' | 'webhook' | 'trigger' | 'sync';
  /** Not asked for below it, since it has no meaning for all that is shown. */
  without?: string[];
}

const viewer = { role: 'viewer' } as const;
const editor = { role: 'editor' } as const;
const admin = { role: 'admin' } as const;

const globalId = (type: string, rest: string) => Buffer.from(`${type}:${rest}`).toString('base64');
const connectionNode = ({ connection }: Target) => globalId('CalendlyConnection', String(connection));
const partsOfBase = ({ connection, baseId, recordId }: Target) => [
  globalId('Base', `${connection}/${baseId}`),
  globalId('Table', `${connection}/${baseId}/tblDEF456`),
  globalId('Record', `${connection}/${baseId}/tblDEF456/${recordId}`),
];
const inBase = ({ connection, baseId }: Target) => `connection: ${connection}, baseId: "${baseId}"`;
const inTable = (target: Target) => `${inBase(target)}, tableId: "tblDEF456"`;
const contacts = ', tableId: "tblDEF456"';
const choice = ({ connection }: Target) => `input: { connection: ${connection} }`;
const trigger = ({ triggerId }: Target) => `input: { id: "${triggerId}" }`;
const sync = ({ syncId }: Target) => `input: { id: "${syncId}" }`;
const webhook = ({ webhookId }: Target) => `input: { id: "${webhookId}" }`;

let made = 0;

/**
 * The fields at which access is decided. A field that is new to the schema has to be put here, if it lets in or keeps out
 * whom its parent does not, or into `following`.
 */
export const guards: Record<string, Guard[]> = {
  'Query.alerts': [
    { ...viewer, reach: 'connection', args: ({ connection }) => `connection: ${connection}` },
    { ...viewer, reach: 'connection', shows: () => String(alertCount) },
  ],
  'Query.apiKeys': [{ ...admin, reach: 'base', shows: () => guardedKeyName }],
  'Query.auditLog': [
    {
      ...admin,
      reach: 'connection',
      args: () => 'action: "createConnection"',
      shows: ({ connection }) => `"connectionId":${connection}`,
    },
  ],
  'Query.base': [{ ...viewer, reach: 'base', args: inBase }],
  'Query.caller': [{ ...viewer, reach: 'anything' }],
  'Query.changes': [{ ...viewer, reach: 'base', args: inBase }],
  'Query.connection': [{ ...viewer, reach: 'connection', args: ({ connection }) => `id: ${connection}` }],
  'Query.connections': [{ ...viewer, reach: 'connection', shows: ({ connection }) => `"id":${connection},` }],
  'Query.node': [
    { ...viewer, reach: 'connection', args: (target) => `id: "${connectionNode(target)}"` },
    ...[0, 1, 2].map((index): Guard => ({
      ...viewer,
      reach: 'base',
      args: (target) => `id: "${partsOfBase(target)[index]}"`,
    })),
  ],
  'Query.nodes': [
    { ...viewer, reach: 'connection', args: (target) => `ids: ["${connectionNode(target)}"]` },
    { ...viewer, reach: 'base', args: (target) => `ids: ${JSON.stringify(partsOfBase(target))}` },
  ],
  'Query.record': [
    { ...viewer, reach: 'base', args: (target) => `${inTable(target)}, recordId: "${target.recordId}"` },
  ],

  'Query.sync': [{ ...viewer, reach: 'base', args: ({ syncId }) => `id: "${syncId}"` }],
  'Query.syncs': [{ ...viewer, reach: 'base', shows: ({ syncId }) => `"id":"${syncId}"` }],
  'Query.trigger': [{ ...admin, reach: 'base', args: ({ triggerId }) => `id: "${triggerId}"` }],
  'Query.triggers': [{ ...admin, reach: 'base', shows: ({ triggerId }) => `"id":"${triggerId}"` }],

  'CalendlyConnection.base': [{ ...viewer, reach: 'base', args: ({ baseId }) => `id: "${baseId}"` }],
  'CalendlyConnection.bases': [
    {
      ...viewer,
      reach: 'base',
      shows: ({ baseId }) => `"id":"${baseId}"`,
      without: ['Base.table', 'Base.tables'],
    },
  ],
  'CalendlyConnection.webhooks': [
    { ...viewer, reach: 'base', shows: ({ baseId }) => `"baseId":"${baseId}"` },
  ],

  'Mutation.connectConnection': [{ ...admin, reach: 'connection', args: choice }],
  'Mutation.createApiKey': [
    {
      ...admin,
      reach: 'base',
      args: ({ connection, baseId }) =>
        `input: { name: "Made", role: VIEWER, connections: [${connection}], bases: ["${baseId}"] }`,
    },
  ],
  'Mutation.createConnection': [
    {
      ...admin,
      reach: 'anything',
      args: () =>
        `input: { type: "calendly", name: "Made ${(made += 1)}", clientId: "${TEST_CLIENT.clientId}", clientSecret: "x" }`,
    },
  ],
  'Mutation.createRecords': [
    {
      ...editor,
      reach: 'base',
      args: (target) => `input: { ${inTable(target)}, records: [{ fields: { Name: "Made" } }] }`,
    },
  ],
  'Mutation.createSync': [{ ...admin, reach: 'base', args: (target) => `input: { ${inTable(target)} }` }],
  'Mutation.createTrigger': [
    {
      ...admin,
      reach: 'base',
      args: (target) =>
        `input: { ${inTable(target)}, name: "Made", kinds: [DELETED], endpoint: "http://127.0.0.1:1/" }`,
    },
  ],
  'Mutation.createWebhook': [{ ...admin, reach: 'base', args: (target) => `input: { ${inBase(target)} }` }],
  'Mutation.deleteConnection': [{ ...admin, reach: 'connection', args: choice, ends: 'connection' }],
  'Mutation.deleteRecords': [
    {
      ...editor,
      reach: 'base',
      args: (target) => `input: { ${inTable(target)}, ids: ["${target.recordId}"], validateOnly: true }`,
    },
  ],
  'Mutation.deleteSync': [{ ...admin, reach: 'base', args: sync, ends: 'sync' }],
  'Mutation.deleteTrigger': [{ ...admin, reach: 'base', args: trigger, ends: 'trigger' }],
  'Mutation.deleteWebhook': [{ ...admin, reach: 'base', args: webhook, ends: 'webhook' }],
  'Mutation.disconnectConnection': [{ ...admin, reach: 'connection', args: choice, ends: 'connection' }],
  'Mutation.pauseSync': [{ ...admin, reach: 'base', args: sync }],
  'Mutation.pauseTrigger': [{ ...admin, reach: 'base', args: trigger }],
  'Mutation.reconcileSync': [{ ...admin, reach: 'base', args: sync }],
  'Mutation.refreshWebhook': [{ ...admin, reach: 'base', args: webhook }],
  'Mutation.replayDeliveries': [{ ...admin, reach: 'base', args: trigger }],
  'Mutation.resumeSync': [{ ...admin, reach: 'base', args: sync }],
  'Mutation.resumeTrigger': [{ ...admin, reach: 'base', args: trigger }],
  'Mutation.revokeApiKey': [{ ...admin, reach: 'base', args: ({ keyId }) => `input: { id: ${keyId} }` }],
  'Mutation.rotateTokens': [{ ...admin, reach: 'connection', args: choice }],
  'Mutation.rotateTriggerSecret': [{ ...admin, reach: 'base', args: trigger }],
  'Mutation.runAction': [
    {
      ...editor,
      reach: 'base',
      args: ({ connection }) =>
        `input: { action: { action: "calendly.listBases", connection: ${connection}, config: {} } }`,
      shows: ({ baseId }) => `"id":"${baseId}"`,
    },
    ...(
      [
        ['listTables', () => ''],
        ['listWebhookPayloads', () => ''],
        ['queryRecords', () => contacts],
        ['getRecord', ({ recordId }) => `${contacts}, recordId: "${recordId}"`],
        ['createRecord', () => `${contacts}, fields: { Name: "Made" }`],
        ['updateRecord', ({ recordId }) => `${contacts}, recordId: "${recordId}", fields: { Phone: "3" }`],
      ] as [string, (target: Target) => string][]
    ).map(([name, config]): Guard => ({
      ...editor,
      reach: 'base',
      args: (target) =>
        `input: { action: { action: "calendly.${name}", connection: ${target.connection}, config: { baseId: "${target.baseId}" ${config(target)} } } }`,
    })),
  ],
  'Mutation.testConnection': [{ ...editor, reach: 'connection', args: choice }],
  'Mutation.testTrigger': [{ ...admin, reach: 'base', args: trigger }],
  'Mutation.updateConnection': [
    {
      ...admin,
      reach: 'connection',
      args: ({ connection }) => `input: { connection: ${connection}, clientSecret: "another" }`,
      ends: 'connection',
    },
  ],
  'Mutation.updateRecords': [
    {
      ...editor,
      reach: 'base',
      args: (target) =>
        `input: { ${inTable(target)}, records: [{ id: "${target.recordId}", fields: { Phone: "1" } }] }`,
    },
  ],
  'Mutation.updateSync': [{ ...admin, reach: 'base', args: sync }],
  'Mutation.updateTrigger': [
    {
      ...admin,
      reach: 'base',
      args: ({ triggerId }) => `input: { id: "${triggerId}", name: "Renamed" }`,
    },
  ],
  'Mutation.upsertRecords': [
    {
      ...editor,
      reach: 'base',
      args: (target) =>
        `input: { ${inTable(target)}, fieldsToMergeOn: ["Name"], records: [{ id: "${target.recordId}", fields: { Phone: "2" } }] }`,
    },
  ],

  'Subscription.connectionChanges': [
    { ...viewer, reach: 'connection', args: ({ connection }) => `connection: ${connection}` },
  ],
  'Subscription.recordChanges': [{ ...viewer, reach: 'base', args: inBase }],
  'Subscription.syncProgress': [{ ...viewer, reach: 'base', args: ({ syncId }) => `id: "${syncId}"` }],
};

/** What tells the alert and the key of the matrix from all others. */
export const alertCount = 918_273;
export const guardedKeyName = 'Guarded key';

const connectionFields =
  'accessTokenExpiresAt account activity availableActions clientId clientSecret createdAt id lastRefreshedAt lastUsedAt managedByFile missingScopes name nodeId problem refreshTokenExpiresAt scopes state type updatedAt';
const activityCounts =
  'calls errors macFailures rateLimited refreshRacesLost refreshes refreshesFailed refused';
const writeFields = 'faultCount faults replayed results upstreamCalls written';
const grantEnding = 'tokensRevoked webhooksDeleted webhooksFailed';

/** The fields that whoever sees their parent may see, by type. */
export const following: Record<string, string> = {
  ActionNotConfirmedError: 'code message recordId status',
  ActivityHour: `start ${activityCounts}`,
  Actor: 'email id name',
  Attachment: 'filename height id size thumbnails type url urlExpiresAt width',
  AttachmentThumbnail: 'height url width',
  AttachmentThumbnails: 'full large small',
  Alert: 'connection count id kind message raisedAt since threshold triggerId until',
  AlertEdge: 'cursor node',
  AlertPage: 'edges nodes pageInfo',
  ApiKey: 'bases configured connections createdAt expiresAt id lastUsedAt name revokedAt role',
  ApiKeyConfiguredError: 'code message',
  ApiKeyNotFoundError: 'code message',
  AuditActor: 'id name',
  AuditEdge: 'cursor node',
  AuditEntry: 'action actor at completedAt connectionId details id outcome requestId target',
  AuditPage: 'edges nodes pageInfo',
  Base: 'id name nodeId permissionLevel table tables',
  BaseEdge: 'cursor node',
  BasePage: 'edges nodes pageInfo',
  CalendlyAccount: 'email id',
  CalendlyConnection: connectionFields,
  Caller: 'baseIds connectionIds expiresAt id name role',
  ChangeEdge: 'cursor node',
  ChangePage: 'edges loggedSince losses nodes pageInfo',
  ChangesLost: 'cursor reason since until',
  ConnectConnectionSuccess: 'authorizationUrl connection expiresAt',
  ConnectionActivity: `alerts hours since until ${activityCounts}`,
  ConnectionChange: 'connection connectionId kind',
  ConnectionManagedError: 'code message',
  ConnectionNotConnectedError: 'code message',
  ConnectionNotFoundError: 'code message',
  ConnectionProblem: 'code message',
  CreateApiKeySuccess: 'apiKey key',
  CreateConnectionSuccess: 'connection',
  CreateRecordsSuccess: writeFields,
  CreateSyncSuccess: 'sync',
  CreateTriggerSuccess: 'secret trigger',
  CreateWebhookSuccess: 'webhook',
  DeleteConnectionSuccess: `connectionId name ${grantEnding}`,
  DeleteRecordsSuccess: writeFields,
  DeleteSyncSuccess: 'id',
  DeleteTriggerSuccess: 'id',
  DeleteWebhookSuccess: 'id',
  DisconnectConnectionSuccess: `connection ${grantEnding}`,
  FeedPosition: 'at cursor',
  Field: 'description id isComputed isPrimary linkedTable name options type',
  FieldChange: 'current id name previous',
  FieldProblem: 'code field fieldId message',
  IdempotencyKeyReusedError: 'code message',
  InputFault: 'message path',
  InvalidInputError: 'code faults message',
  NameTakenError: 'code message',
  PageInfo: 'endCursor hasNextPage hasPreviousPage startCursor',
  ParkedRecord: 'code column constraint isDeletion message parkedAt recordId',
  ParkedRecordPage: 'nodes pageInfo',
  PauseSyncSuccess: 'sync',
  PauseTriggerSuccess: 'trigger',
  Record:
    'asOf attachments changes checked createdTime date fields id linked linkedCount liveBecause nodeId number problems source table text value',
  RecordChange: 'actor cursor fields kind leftFilter liveRecord occurredAt record recordId source tableId',
  RecordEdge: 'cursor node',
  RecordPage: 'asOf edges liveBecause nodes pageInfo source',
  RecordWriteError: 'code message',
  RecordWriteFault: 'code message path',
  RecordWriteResult: 'effect error index record recordId status warning',
  ReconcileSyncSuccess: 'sync',
  RefusedChange: 'code message recordId refusedAt rowKey',
  RefusedChangePage: 'nodes pageInfo',
  RefreshWebhookSuccess: 'webhook',
  ReplayDeliveriesSuccess: 'replayed trigger',
  ResumeSyncSuccess: 'sync',
  ResumeTriggerSuccess: 'trigger',
  RevokeApiKeySuccess: 'apiKey',
  RotateTriggerSecretSuccess: 'secret trigger',
  RotateTokensSuccess: 'connection',
  RunActionSuccess: 'action connection result',
  SchemaChange: 'actor cursor edits occurredAt source',
  SchemaEdit: 'current fieldId kind previous tableId',
  Sync: 'asOf baseId columns conflictLog conflicts connection createdAt createdBy direction driftFound id isOwnTable lastReconciledAt parked parkedCount pausedBecause problem progress refused state table tableId unsentCount updatedAt',
  SyncColumn: 'column columnType fieldId fieldName fieldType goneAt',
  SyncConflict: 'at calendlyValue fieldId fieldName kind omneraValue recordId winner',
  SyncConflictPage: 'nodes pageInfo',
  SyncNotFoundError: 'code message',
  SyncProgress: 'asOf backlog phase recordsDone recordsExpected sync timeLeftMs upstreamCalls',
  Table: 'base description field fields id name nodeId record records recordsById views',
  TargetNotFoundError: 'code message',
  TargetUnfitError: 'code message',
  TestTriggerSuccess: 'answer delivered durationMs error httpStatus trigger',
  Trigger:
    'action baseId connection createdAt createdBy deliveries endpoint fields filter health id kinds name pausedBecause problem state tableId updatedAt',
  TriggerDelivery:
    'answer attempts chain createdAt durationMs error event finishedAt httpStatus id lastAttemptAt nextAttemptAt recordId status type',
  TriggerDeliveryEdge: 'cursor node',
  TriggerDeliveryError: 'code message',
  TriggerDeliveryPage: 'edges nodes pageInfo',
  TriggerHealth: 'failingSince failuresInRow parked waiting',
  TriggerNotFoundError: 'code message',
  TestConnectionSuccess: 'account connection latencyMs problem works',
  UpdateConnectionSuccess: `connection ${grantEnding}`,
  UpdateSyncSuccess: 'sync',
  UpdateTriggerSuccess: 'trigger',
  UpdateRecordsSuccess: writeFields,
  UpsertRecordsSuccess: writeFields,
  View: 'id name type',
  Webhook:
    'baseId createdAt expiresAt health healthReasons id lagMs lastDrainedAt lastNotificationResult lastPayloadAt lastPingAt notificationUrl problem state upstreamId',
  WebhookNotificationResult: 'completedAt message retryNumber success willBeRetried',
};

/**
 * Types that only an accident shows, which nothing here provokes, or a file, which the records here do not hold; errors
 * that a client branches on are left out anyway.
 */
export const notShownHere = new Set([
  'Attachment',
  'AttachmentThumbnail',
  'AttachmentThumbnails',
  'ChangesLost',
  'FieldProblem',
  'InputFault',
  'RecordWriteError',
  'RecordWriteFault',
  'WebhookNotificationResult',
]);

/** Arguments with which fields below the guards are asked for. */
export const argumentsOf = (recordId: string): Record<string, string> => ({
  'Base.table': 'id: "tblDEF456"',
  'Record.attachments': 'field: "Avatar"',
  'Record.checked': 'field: "VIP"',
  'Record.date': 'field: "Birthday"',
  'Record.fields': 'names: ["Name"]',
  'Record.linked': 'field: "Company", first: 2',
  'Record.linkedCount': 'field: "Deals"',
  'Record.number': 'field: "Score"',
  'Record.text': 'field: "Name"',
  'Record.value': 'field: "Email"',
  'Table.field': 'id: "Company"',
  'Table.record': `id: "${recordId}"`,
  'Table.records': 'first: 2',
  'Table.recordsById': `ids: ["${recordId}"]`,
});
