/* eslint-disable */
/** Internal type. DO NOT USE DIRECTLY. */
type Exact<T extends { [key: string]: unknown }> = { [K in keyof T]: T[K] };
/** Internal type. DO NOT USE DIRECTLY. */
export type Incremental<T> = T | { [P in keyof T]?: P extends ' $fragmentName' | '__typename' ? T[P] : never };
import type { DocumentTypeDecoration } from '@graphql-typed-document-node/core';
/** What happened to a record. */
export type ChangeKind =
  /** It was created. */
  | 'CREATED'
  /** It was deleted. */
  | 'DELETED'
  /** Some of its cells changed. */
  | 'UPDATED';

/** What can be done with a connection now, for the buttons of a settings page. */
export type ConnectionAction =
  /** Grant access for the first time: connectConnection. */
  | 'CONNECT'
  /** Give up the grant: disconnectConnection. */
  | 'DISCONNECT'
  /** Grant access again: connectConnection. */
  | 'RECONNECT'
  /** Ask the service whether the tokens work: testConnection. */
  | 'TEST'
  /** Enter the client id or secret again: updateConnection. */
  | 'UPDATE_CREDENTIALS';

/** Where a connection stands. */
export type ConnectionState =
  /** Credentials are saved, nobody has granted access yet. */
  | 'CONFIGURED'
  /** Access was granted and the tokens work. */
  | 'CONNECTED'
  /** Access was given up on purpose. */
  | 'DISCONNECTED'
  /** Authorization failed or was lost; `problem` says why. */
  | 'ERROR';

/** A new connection. Everything that is required is checked at once, so that a form can show all faults. */
export type CreateConnectionInput = {
  /** Required. The client ID of the OAuth integration in Calendly's Developer Hub. */
  clientId?: string | null | undefined;
  /** Required. The client secret that belongs to it. Encrypted before it is stored, and never shown again. */
  clientSecret?: string | null | undefined;
  /** Required. A label for people, 1 to 100 characters, unique on this server. */
  name?: string | null | undefined;
  /** How much access to ask for. */
  scopes?: ScopePreset | null | undefined;
  /** Required. Exactly `calendly`. */
  type?: string | null | undefined;
  /** Also ask for the account's e-mail address, to show who granted access. */
  withEmail?: boolean | null | undefined;
};

/** Why changes may be missing. */
export type LossReason =
  /** They were in the log but are older than it is kept. */
  | 'CURSOR_PRUNED'
  /** The upstream recorded them but no longer has them: it keeps them for seven days. */
  | 'PAYLOADS_MISSING'
  /** The upstream recorded them as one piece that is larger than is read, which is 25 MiB. */
  | 'PAYLOAD_TOO_LARGE'
  /** The upstream recorded an error in place of changes. */
  | 'PAYLOAD_UNREADABLE'
  /** For a while no webhook lived that would have recorded them. */
  | 'WEBHOOK_GONE';

/** What became of one record of a write. */
export type RecordWriteStatus =
  /** It had no effect. `error` says why. What the service refuses, it refuses for the whole ten that was sent together. */
  | 'FAILED'
  /** It was not sent at all. `error` says why; sending it again is safe. With `validateOnly` there is no error: it would have been sent. */
  | 'NOT_SENT'
  /** It was sent and the answer was lost, so nobody knows whether it took effect. Look before you send it again. */
  | 'OUTCOME_UNKNOWN'
  /** The service confirmed it. */
  | 'WRITTEN';

/** How much access a connection asks for. Ask for no more than you need. */
export type ScopePreset =
  /** The scopes data.records:read, schema.bases:read. */
  | 'READ_ONLY'
  /** The scopes data.records:read, schema.bases:read, data.records:write. */
  | 'READ_WRITE'
  /** The scopes data.records:read, schema.bases:read, data.records:write, webhook:manage. */
  | 'WITH_WEBHOOKS';

export type CreateConnectionMutationVariables = Exact<{
  input: CreateConnectionInput;
}>;


export type CreateConnectionMutation = { createConnection:
    | { __typename: 'CreateConnectionSuccess', connection: { id: number, state: ConnectionState, clientSecret: string } }
    | { __typename: 'InvalidInputError', code: string, message: string }
    | { __typename: 'NameTakenError', code: string, message: string }
   | null };

export type ConnectConnectionMutationVariables = Exact<{
  connection: number;
}>;


export type ConnectConnectionMutation = { connectConnection:
    | { __typename: 'ConnectConnectionSuccess', authorizationUrl: string }
    | { __typename: 'ConnectionNotFoundError', code: string, message: string }
    | { __typename: 'InvalidInputError', code: string, message: string }
   | null };

export type ReadConnectionQueryVariables = Exact<{
  id: number;
}>;


export type ReadConnectionQuery = { connection: { scopes: Array<string>, missingScopes: Array<string>, state: ConnectionState, availableActions: Array<ConnectionAction>, account: { id: string } | null, bases: { nodes: Array<{ id: string, name: string | null, tables: Array<{ id: string, name: string }> | null }> } | null } | null };

export type ReadContactsQueryVariables = Exact<{
  connection: number;
  after?: string | null | undefined;
}>;


export type ReadContactsQuery = { base: { name: string | null, table: { id: string, fields: Array<{ name: string, type: string }>, records: { nodes: Array<{ id: string, name: string | null, email: string | null, company: Array<{ name: string | null } | null> | null }>, pageInfo: { hasNextPage: boolean, endCursor: string | null } } | null } | null } | null };

export type CreateContactMutationVariables = Exact<{
  connection: number;
  fields: unknown;
}>;


export type CreateContactMutation = { createRecords:
    | { __typename: 'ConnectionNotConnectedError', code: string, message: string }
    | { __typename: 'ConnectionNotFoundError', code: string, message: string }
    | { __typename: 'CreateRecordsSuccess', results: Array<{ status: RecordWriteStatus, error: { code: string, message: string } | null, record: { id: string, fields: unknown } | null }> }
    | { __typename: 'IdempotencyKeyReusedError', code: string, message: string }
    | { __typename: 'InvalidInputError', code: string, message: string }
   | null };

export type UpdateContactMutationVariables = Exact<{
  connection: number;
  id: string;
  fields: unknown;
}>;


export type UpdateContactMutation = { updateRecords:
    | { __typename: 'ConnectionNotConnectedError' }
    | { __typename: 'ConnectionNotFoundError' }
    | { __typename: 'IdempotencyKeyReusedError' }
    | { __typename: 'InvalidInputError' }
    | { __typename: 'UpdateRecordsSuccess', results: Array<{ status: RecordWriteStatus }> }
   | null };

export type DeleteContactMutationVariables = Exact<{
  connection: number;
  id: string;
}>;


export type DeleteContactMutation = { deleteRecords:
    | { __typename: 'ConnectionNotConnectedError' }
    | { __typename: 'ConnectionNotFoundError' }
    | { __typename: 'DeleteRecordsSuccess', results: Array<{ status: RecordWriteStatus }> }
    | { __typename: 'IdempotencyKeyReusedError' }
    | { __typename: 'InvalidInputError' }
   | null };

export type ContactChangesSubscriptionVariables = Exact<{
  connection: number;
  after?: string | null | undefined;
}>;


export type ContactChangesSubscription = { recordChanges:
    | { __typename: 'ChangesLost', cursor: string, reason: LossReason }
    | { __typename: 'FeedPosition', cursor: string }
    | { __typename: 'RecordChange', cursor: string, kind: ChangeKind, recordId: string, fields: Array<{ name: string | null, previous: unknown, current: unknown }>, record: { name: string | null } | null }
    | { __typename: 'SchemaChange', cursor: string }
   };

export type DisconnectConnectionMutationVariables = Exact<{
  connection: number;
}>;


export type DisconnectConnectionMutation = { disconnectConnection:
    | { __typename: 'ConnectionNotConnectedError' }
    | { __typename: 'ConnectionNotFoundError' }
    | { __typename: 'DisconnectConnectionSuccess', tokensRevoked: boolean | null, webhooksDeleted: number, connection: { state: ConnectionState } }
    | { __typename: 'InvalidInputError' }
   | null };

export class TypedDocumentString<TResult, TVariables>
  extends String
  implements DocumentTypeDecoration<TResult, TVariables>
{
  __apiType?: NonNullable<DocumentTypeDecoration<TResult, TVariables>['__apiType']>;
  private value: string;
  public __meta__?: Record<string, any> | undefined;

  constructor(value: string, __meta__?: Record<string, any> | undefined) {
    super(value);
    this.value = value;
    this.__meta__ = __meta__;
  }

  override toString(): string & DocumentTypeDecoration<TResult, TVariables> {
    return this.value;
  }
}

export const CreateConnectionDocument = new TypedDocumentString(`
    mutation CreateConnection($input: CreateConnectionInput!) {
  createConnection(input: $input) {
    __typename
    ... on CreateConnectionSuccess {
      connection {
        id
        state
        clientSecret
      }
    }
    ... on Error {
      code
      message
    }
  }
}
    `) as unknown as TypedDocumentString<CreateConnectionMutation, CreateConnectionMutationVariables>;
export const ConnectConnectionDocument = new TypedDocumentString(`
    mutation ConnectConnection($connection: Int!) {
  connectConnection(input: {connection: $connection}) {
    __typename
    ... on ConnectConnectionSuccess {
      authorizationUrl
    }
    ... on Error {
      code
      message
    }
  }
}
    `) as unknown as TypedDocumentString<ConnectConnectionMutation, ConnectConnectionMutationVariables>;
export const ReadConnectionDocument = new TypedDocumentString(`
    query ReadConnection($id: Int!) {
  connection(id: $id) {
    state
    availableActions
    ... on CalendlyConnection {
      scopes
      missingScopes
      account {
        id
      }
      bases(first: 10) {
        nodes {
          id
          name
          tables {
            id
            name
          }
        }
      }
    }
  }
}
    `) as unknown as TypedDocumentString<ReadConnectionQuery, ReadConnectionQueryVariables>;
export const ReadContactsDocument = new TypedDocumentString(`
    query ReadContacts($connection: Int!, $after: String) {
  base(connection: $connection, baseId: "appABC123") {
    name
    table(id: "Contacts") {
      id
      fields {
        name
        type
      }
      records(first: 5, sort: [{field: "Name"}], after: $after) {
        nodes {
          id
          name: text(field: "Name")
          email: text(field: "Email")
          company: linked(field: "Company") {
            name: text(field: "Name")
          }
        }
        pageInfo {
          hasNextPage
          endCursor
        }
      }
    }
  }
}
    `) as unknown as TypedDocumentString<ReadContactsQuery, ReadContactsQueryVariables>;
export const CreateContactDocument = new TypedDocumentString(`
    mutation CreateContact($connection: Int!, $fields: JSON!) {
  createRecords(
    input: {connection: $connection, baseId: "appABC123", tableId: "tblDEF456", records: [{fields: $fields}]}
  ) {
    __typename
    ... on CreateRecordsSuccess {
      results {
        status
        error {
          code
          message
        }
        record {
          id
          fields(names: ["Name", "Email", "Status"])
        }
      }
    }
    ... on Error {
      code
      message
    }
  }
}
    `) as unknown as TypedDocumentString<CreateContactMutation, CreateContactMutationVariables>;
export const UpdateContactDocument = new TypedDocumentString(`
    mutation UpdateContact($connection: Int!, $id: String!, $fields: JSON!) {
  updateRecords(
    input: {connection: $connection, baseId: "appABC123", tableId: "tblDEF456", records: [{id: $id, fields: $fields}]}
  ) {
    __typename
    ... on UpdateRecordsSuccess {
      results {
        status
      }
    }
  }
}
    `) as unknown as TypedDocumentString<UpdateContactMutation, UpdateContactMutationVariables>;
export const DeleteContactDocument = new TypedDocumentString(`
    mutation DeleteContact($connection: Int!, $id: String!) {
  deleteRecords(
    input: {connection: $connection, baseId: "appABC123", tableId: "tblDEF456", ids: [$id]}
  ) {
    __typename
    ... on DeleteRecordsSuccess {
      results {
        status
      }
    }
  }
}
    `) as unknown as TypedDocumentString<DeleteContactMutation, DeleteContactMutationVariables>;
export const ContactChangesDocument = new TypedDocumentString(`
    subscription ContactChanges($connection: Int!, $after: Cursor) {
  recordChanges(
    connection: $connection
    baseId: "appABC123"
    tableId: "tblDEF456"
    after: $after
  ) {
    __typename
    ... on FeedPosition {
      cursor
    }
    ... on RecordChange {
      cursor
      kind
      recordId
      fields {
        name
        previous
        current
      }
      record {
        name: text(field: "Name")
      }
    }
    ... on ChangesLost {
      cursor
      reason
    }
    ... on SchemaChange {
      cursor
    }
  }
}
    `) as unknown as TypedDocumentString<ContactChangesSubscription, ContactChangesSubscriptionVariables>;
export const DisconnectConnectionDocument = new TypedDocumentString(`
    mutation DisconnectConnection($connection: Int!) {
  disconnectConnection(input: {connection: $connection}) {
    __typename
    ... on DisconnectConnectionSuccess {
      tokensRevoked
      webhooksDeleted
      connection {
        state
      }
    }
  }
}
    `) as unknown as TypedDocumentString<DisconnectConnectionMutation, DisconnectConnectionMutationVariables>;