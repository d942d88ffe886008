import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { createClient } from 'graphql-ws';
import WebSocket from 'ws'; // not needed from Node 22 on

/**
 * Keeps the list of a table live, whatever happens to connections, servers and notifications. Prints what changes, and the
 * whole list whenever Enter is pressed. How it gets by is said in examples/README.md.
 */
const { values } = parseArgs({
  options: {
    connection: { type: 'string', default: '1' },
    base: { type: 'string', default: 'appABC123' },
    table: { type: 'string', default: 'Contacts' },
    field: { type: 'string', default: 'Name' },
  },
});
const url = process.env.URL ?? 'http://localhost:4000';
const authorization = `Bearer ${process.env.KEY ?? ''}`;
const place = {
  connection: Number(values.connection),
  base: values.base,
  table: values.table,
  field: values.field,
};

interface Contact {
  id: string;
  name: string | null;
}
type Event =
  | { __typename: 'FeedPosition' | 'SchemaChange' | 'ChangesLost'; cursor: string }
  | { __typename: 'RecordChange'; cursor: string; kind: string; recordId: string; record: Contact | null };

const changes = `subscription ($connection: Int!, $base: String!, $table: String!, $field: String!, $after: Cursor) {
  recordChanges(connection: $connection, baseId: $base, tableId: $table, after: $after) {
    __typename
    ... on FeedPosition { cursor }
    ... on SchemaChange { cursor }
    ... on ChangesLost { cursor }
    ... on RecordChange { cursor kind recordId record { id name: text(field: $field) } }
  }
}`;
const page = `query ($connection: Int!, $base: String!, $table: String!, $field: String!, $after: String) {
  base(connection: $connection, baseId: $base) { table(id: $table) {
    records(first: 100, after: $after) { nodes { id name: text(field: $field) } pageInfo { hasNextPage endCursor } }
  } }
}`;

const list = new Map<string, string | null>();
let isListed = false;
let silence: NodeJS.Timeout | undefined;
let work = Promise.resolve();

const client = createClient({
  url: `${url.replace(/^http/, 'ws')}/graphql`,
  webSocketImpl: WebSocket,
  connectionParams: { authorization },
  retryAttempts: Infinity,
  retryWait: (retries) => wait(Math.random() * Math.min(10_000, 500 * 2 ** retries)),
  shouldRetry: (reason) => (reason as { code?: number }).code !== 4403, // The key has ended.
});
const variables = { ...place, after: null as string | null };
subscribe();

function subscribe(): void {
  const again = (): void => void wait(1_000 + Math.random() * 4_000).then(subscribe);
  client.subscribe<{ recordChanges: Event }>(
    { query: changes, variables },
    {
      next({ data, errors }) {
        if (!data) return console.error(errors);
        const event = data.recordChanges;
        variables.after = event.cursor; // With this, the client's own retries go on where they stopped.
        work = work.then(() => take(event)).catch(fail);
        expectMore();
      },
      error(problem) {
        if (!Array.isArray(problem)) return fail(problem);
        console.error(problem); // Such as DATABASE_UNAVAILABLE. Others, such as FORBIDDEN, need a person.
        again();
      },
      complete: again,
    },
  );
}

/** One event after the other, so that none overtakes the list that is being read. */
async function take(event: Event): Promise<void> {
  if (!isListed || event.__typename === 'ChangesLost') return readList(event.__typename);
  if (event.__typename !== 'RecordChange') return;
  if (event.record) list.set(event.recordId, event.record.name);
  else list.delete(event.recordId);
  console.log(event.kind, event.recordId, JSON.stringify(event.record?.name ?? null));
}

/** At least as new as the event that it follows; what is told after it sets right what lies between. */
async function readList(because: string): Promise<void> {
  const found: Contact[] = [];
  for (let after: string | null = null, hasMore = true; hasMore;) {
    const { data, errors } = await ask(page, { ...place, after });
    if (!data?.base) throw new Error(JSON.stringify(errors));
    const { nodes, pageInfo } = data.base.table.records;
    found.push(...nodes);
    after = pageInfo.endCursor;
    hasMore = pageInfo.hasNextPage;
  }
  list.clear();
  for (const { id, name } of found) list.set(id, name);
  isListed = true;
  console.log('LISTED', list.size, because);
}

interface Page {
  base: {
    table: {
      records: { nodes: Contact[]; pageInfo: { hasNextPage: boolean; endCursor: string | null } };
    };
  } | null;
}
interface Answer {
  data?: Page | null;
  errors?: { extensions: { retryAfterMs?: number } }[];
}

/** Asks until there is an answer: the server may be away, or tell when it can be asked again. */
async function ask(query: string, given: object): Promise<Answer> {
  for (;;) {
    try {
      const response = await fetch(`${url}/graphql`, {
        method: 'POST',
        headers: { authorization, 'content-type': 'application/json' },
        body: JSON.stringify({ query, variables: given }),
      });
      const answer = (await response.json()) as Answer;
      const retryAfterMs = answer.errors?.[0]?.extensions.retryAfterMs;
      if (retryAfterMs === undefined && response.status < 500) return answer;
      await wait(retryAfterMs ?? 1_000);
    } catch {
      await wait(500 + Math.random() * 500);
    }
  }
}

/** A position comes at least every 30 s. Where none does, the connection is dead, though nobody has said so. */
function expectMore(): void {
  clearTimeout(silence);
  silence = setTimeout(() => client.terminate(), 45_000);
}

function fail(error: unknown): void {
  console.error(error);
  process.exit(1);
}

function wait(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

createInterface({ input: process.stdin }).on('line', () => {
  for (const [id, name] of list) console.log('HAS', id, JSON.stringify(name));
  console.log('IN ALL', list.size);
});
