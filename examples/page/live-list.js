import { Client, fetchExchange, subscriptionExchange } from '@urql/core';
import { createClient } from 'graphql-ws';

/*
 * Keeps the list of a table live, whatever happens to connections, servers and notifications. How it gets by is said in
 * examples/README.md.
 */

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

const status = document.querySelector('[role=status]');
const form = document.querySelector('form');
form.addEventListener('submit', (submitted) => {
  submitted.preventDefault();
  form.querySelector('button').disabled = true;
  const { url, key, ...place } = Object.fromEntries(new FormData(form));
  follow(url, `Bearer ${key}`, { ...place, connection: Number(place.connection) });
});

function follow(url, authorization, place) {
  const client = connect(url, authorization);
  const list = new Map();
  let isListed = false;
  let work = Promise.resolve();

  client.subscription(changes, place).subscribe(({ data, error, hasNext }) => {
    // At its end urql gives the last result once more.
    if (hasNext === false || !data) return fail(error);
    work = work.then(() => take(data.recordChanges)).catch(fail);
  });

  /** One event after the other, so that none overtakes the list that is being read. */
  async function take({ __typename, kind, recordId, record }) {
    if (!isListed || __typename === 'ChangesLost') await readList();
    else if (__typename !== 'RecordChange') return;
    else if (record) list.set(recordId, record.name);
    else list.delete(recordId);
    show(list);
    status.textContent = `${list.size} records. ${kind ? `Last: ${kind} ${recordId}.` : 'Listening.'}`;
  }

  /** At least as new as the event that it follows; what is told after it sets right what lies between. */
  async function readList() {
    const found = [];
    for (let after = null, hasMore = true; hasMore;) {
      const { nodes, pageInfo } = await readPage({ ...place, after });
      found.push(...nodes);
      after = pageInfo.endCursor;
      hasMore = pageInfo.hasNextPage;
    }
    list.clear();
    for (const { id, name } of found) list.set(id, name);
    isListed = true;
  }

  /** Asks until there is an answer: the server may be away, or tell when it can be asked again. */
  async function readPage(variables) {
    for (;;) {
      const { data, error } = await client.query(page, variables, { requestPolicy: 'network-only' });
      if (data?.base) return data.base.table.records;
      const retryAfterMs = error.graphQLErrors[0]?.extensions?.retryAfterMs;
      if (retryAfterMs === undefined && !error.networkError) throw error;
      await wait(retryAfterMs ?? 1_000);
    }
  }
}

/** urql, whose subscriptions go on where they stopped. */
function connect(url, authorization) {
  let silence;
  const sockets = createClient({
    url: `${url.replace(/^http/, 'ws')}/graphql`,
    connectionParams: { authorization },
    retryAttempts: Infinity,
    retryWait: (retries) => wait(Math.random() * Math.min(10_000, 500 * 2 ** retries)),
    shouldRetry: ({ code }) => code !== 4403, // The key has ended.
    on: {
      closed: () => (status.textContent = 'Connecting again …'),
      // A position comes at least every 30 s. Where none does, the connection is dead, though nobody has said so.
      message: () => {
        clearTimeout(silence);
        silence = setTimeout(() => sockets.terminate(), 45_000);
      },
    },
  });
  return new Client({
    url: `${url}/graphql`,
    preferGetMethod: false,
    fetchOptions: { headers: { authorization } },
    exchanges: [
      fetchExchange,
      subscriptionExchange({
        forwardSubscription: ({ query, variables }) => ({
          subscribe(sink) {
            const request = { query, variables: { ...variables } };
            const again = () => void wait(1_000 + Math.random() * 4_000).then(begin);
            let unsubscribe = () => undefined;
            let isOver = false;
            function begin() {
              if (isOver) return;
              unsubscribe = sockets.subscribe(request, {
                next(result) {
                  // With this, the client's own retries go on where they stopped.
                  request.variables.after = result.data?.recordChanges?.cursor ?? request.variables.after;
                  sink.next(result);
                },
                error(problem) {
                  // An answer such as DATABASE_UNAVAILABLE. Others, such as FORBIDDEN, need a person.
                  if (!Array.isArray(problem)) return sink.error(problem);
                  status.textContent = problem[0].message;
                  again();
                },
                complete: again,
              });
            }
            begin();
            return {
              unsubscribe() {
                isOver = true;
                unsubscribe();
              },
            };
          },
        }),
      }),
    ],
  });
}

function show(list) {
  const items = [...list].map(([id, name]) => {
    const item = document.createElement('li');
    item.id = id;
    item.textContent = name ?? '';
    return item;
  });
  document.querySelector('ul').replaceChildren(...items);
}

function fail(error) {
  status.textContent = `Ended: ${error?.message ?? 'the subscription is over'}`;
}

function wait(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
