import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import getPort from 'get-port';
import { createApp } from '../../src/app.ts';
import { listen } from '../../src/server/listen.ts';
import type { GraphQLAnswer, TestApp } from '../support/app.ts';

export interface PassingServer {
  graphql: TestApp['graphql'];
  /** What the instance asked the upstream, in order. */
  seen: URL[];
  upstream: TestApp['app']['upstream'];
  close(): Promise<void>;
}

/** Deals with an answer of the sandbox, after a while if need be. @returns whether it has answered in its place */
export type Meddler = (url: URL, text: string, response: ServerResponse) => boolean | Promise<boolean>;

/** Another instance on the same database, whose reads reach the sandbox through a server that notes their URLs. */
export async function startPassingServer(
  app: TestApp,
  meddle: Meddler = () => false,
): Promise<PassingServer> {
  const seen: URL[] = [];
  const passing = createServer((request, response) => {
    const url = new URL(request.url ?? '/', app.sandbox.url);
    seen.push(url);
    fetch(url, { headers: { authorization: request.headers.authorization ?? '' } })
      .then(async (answer) => {
        const text = await answer.text();
        if (await meddle(url, text, response)) return;
        response.writeHead(answer.status, { 'content-type': 'application/json' }).end(text);
      })
      .catch(() => response.destroy());
  });
  await new Promise<void>((resolve) => passing.listen(0, '127.0.0.1', resolve));
  const apiUrl = `http://127.0.0.1:${(passing.address() as AddressInfo).port}`;

  const port = await getPort();
  const { logger, clock, config } = app.app;
  const instance = await createApp(
    { ...config, upstream: { ...config.upstream, apiUrl } },
    { logger, clock },
  );
  const server = await listen(instance, { host: 'localhost', port });
  return {
    seen,
    upstream: instance.upstream,
    async graphql(query, variables) {
      const response = await fetch(`http://localhost:${port}/graphql`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: `Bearer ${app.adminKey}` },
        body: JSON.stringify({ query, variables }),
      });
      return {
        status: response.status,
        headers: response.headers,
        ...((await response.json()) as object),
      } as GraphQLAnswer;
    },
    async close() {
      await server.close();
      await instance.close();
      await new Promise((resolve) => {
        passing.close(resolve);
        passing.closeAllConnections();
      });
    },
  };
}
