import { authorizationUrl, walkFlow, type TestApp, type UntypedData } from '../support/app.ts';
import { TEST_CLIENT } from '../support/sandbox-grant.ts';

/** What a settings page reads of a connection. */
export const shown = `id name state clientId clientSecret scopes missingScopes availableActions problem { code message } account { id email } updatedAt accessTokenExpiresAt lastRefreshedAt`;

const ending = '... on GrantEnding { tokensRevoked webhooksDeleted webhooksFailed }';
const failures = '... on Error { code message } ... on InvalidInputError { faults { path message } }';

const documents = {
  updateConnection: `mutation ($input: UpdateConnectionInput!) { updateConnection(input: $input) { __typename ${ending} ... on UpdateConnectionSuccess { connection { ${shown} } } ${failures} } }`,
  disconnectConnection: `mutation ($input: DisconnectConnectionInput!) { disconnectConnection(input: $input) { __typename ${ending} ... on DisconnectConnectionSuccess { connection { ${shown} } } ${failures} } }`,
  deleteConnection: `mutation ($input: DeleteConnectionInput!) { deleteConnection(input: $input) { __typename ${ending} ... on DeleteConnectionSuccess { connectionId name } ${failures} } }`,
  testConnection: `mutation ($input: TestConnectionInput!) { testConnection(input: $input) { __typename ... on TestConnectionSuccess { works latencyMs account { id email } problem { code message } connection { ${shown} } } ${failures} } }`,
  rotateTokens: `mutation ($input: RotateTokensInput!) { rotateTokens(input: $input) { __typename ... on RotateTokensSuccess { connection { ${shown} } } ${failures} } }`,
};

/** The answer of one mutation of the lifecycle. @throws when it fails as a whole */
export async function run(
  app: Pick<TestApp, 'graphql'>,
  name: keyof typeof documents,
  connection: number,
  changes: object = {},
): Promise<UntypedData> {
  const { data, errors } = await app.graphql(documents[name], { input: { connection, ...changes } });
  if (errors) throw new Error(JSON.stringify(errors));
  return data[name];
}

export async function read(app: Pick<TestApp, 'graphql'>, id: number): Promise<UntypedData> {
  const { data } = await app.graphql(
    `query ($id: Int!) { connection(id: $id) { ... on CalendlyConnection { ${shown} } } }`,
    { id },
  );
  return data.connection;
}

/** A connection in the state CONFIGURED. */
export async function create(
  app: Pick<TestApp, 'graphql'>,
  name: string,
  changes: object = {},
): Promise<number> {
  const { data } = await app.graphql(
    `mutation ($input: CreateConnectionInput!) { createConnection(input: $input) { ... on CreateConnectionSuccess { connection { id } } ... on Error { message } } }`,
    { input: { type: 'calendly', name, ...TEST_CLIENT, ...changes } },
  );
  return data.createConnection.connection.id as number;
}

/** Puts a connection without a grant into the state ERROR. */
export async function deny(app: TestApp, id: number): Promise<void> {
  await walkFlow(await authorizationUrl(app.graphql, id), undefined, 'deny');
}

/** Walks the whole flow. */
export async function grant(app: TestApp, id: number): Promise<void> {
  const page = await walkFlow(await authorizationUrl(app.graphql, id));
  if (page.status !== 200) throw new Error(page.text);
}

export async function storedSecrets(app: TestApp, id: number): Promise<UntypedData> {
  const [row] = await app.database.query(
    'SELECT client_secret, access_token, refresh_token FROM connection_secrets WHERE connection_id = $1',
    [id],
  );
  return row;
}
