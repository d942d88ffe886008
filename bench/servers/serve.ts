import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { WirePageOfContacts } from '../contacts.ts';

/** What every server is told at its start. */
export interface Setup {
  databaseUrl: string;
  sandboxUrl: string;
  /** An access token of the sandbox, for servers that have no OAuth of their own. */
  token: string;
  /** What the sandbox answers for the page: what servers answer "from memory" with. */
  page: WirePageOfContacts;
}

/** What a server tells when it answers. */
export interface Ready {
  url: string;
  headers: Record<string, string>;
  /** The number of the connection, for the one server that has connections. */
  connection?: number;
}

/** Waits for the setup, starts the server with it, says so, and ends with the parent. */
export function serve(start: (setup: Setup) => Promise<Ready>): void {
  process.once('disconnect', () => process.exit());
  process.once('message', (setup) => {
    start(setup as Setup).then(
      (ready) => process.send?.(ready),
      (error: unknown) => {
        process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
        process.exit(1);
      },
    );
  });
}

/** @returns the origin under which `listener` is served by plain node:http. */
export async function listenOn(listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
