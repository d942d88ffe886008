import type { ServerResponse } from 'node:http';
import { cells, fieldNames, readCell, readFields, type WireContact } from '../contacts.ts';
import { listenOn, serve } from './serve.ts';
import { createUpstream } from './upstream.ts';

interface Body {
  query: string;
  variables?: { formula?: string };
}

/**
 * The floor: node:http that parses the JSON it is sent, knows the three documents of this benchmark by a word in them, and
 * serialises the same answers.
 */
serve(async (setup) => {
  const fetchPage = createUpstream(setup);
  const { records } = setup.page;

  const answer = async ({ query, variables }: Body): Promise<unknown> => {
    if (query.includes('fetchedContacts')) {
      return { fetchedContacts: (await fetchPage(variables?.formula ?? null)).map(byCell) };
    }
    if (query.includes('fields(')) return { contacts: records.map(asJson) };
    return query.includes('contacts') ? { contacts: records.map(byCell) } : { __typename: 'Query' };
  };

  const url = await listenOn((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      answer(JSON.parse(Buffer.concat(chunks).toString('utf8')) as Body).then(
        (data) => send(response, 200, { data }),
        (error: unknown) => send(response, 500, { errors: [{ message: String(error) }] }),
      );
    });
  });
  return { url: `${url}/graphql`, headers: {} };
});

function byCell(contact: WireContact): object {
  const { id, createdTime } = contact;
  const values: Record<string, unknown> = { id, createdTime };
  for (const cell of cells) values[cell.name] = readCell(contact, cell);
  return values;
}

function asJson(contact: WireContact): object {
  const { id, createdTime } = contact;
  return { id, createdTime, fields: readFields(contact, fieldNames) };
}

function send(response: ServerResponse, status: number, value: unknown): void {
  const text = JSON.stringify(value);
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(text),
  });
  response.end(text);
}
