import { mkdir, writeFile } from 'node:fs/promises';
import { createServer, type RequestListener } from 'node:http';
import { Session } from 'node:inspector/promises';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { WirePageOfContacts } from '../contacts.ts';

/** What every server is told at its start. */
export interface Setup {
  databaseUrl: string;
  sandboxUrl: string;
  /** The same for all instances of ours, since they share the database. */
  adminKey: string;
  encryptionKeys: string;
  /** An access token of the sandbox, for servers that have no OAuth of their own. */
  token: string;
  /** What the sandbox answers for the page: what servers answer "from memory" with. */
  page: WirePageOfContacts;
  /** Whether ours keeps to the upstream's limit, as in production, or to none that could be felt. */
  limited: boolean;
  /** The typed table of a copy, for those who read it past ours. */
  table?: string;
}

/** What a server tells when it answers. */
export interface Ready {
  url: string;
  headers: Record<string, string>;
  /** The number of the connection, for the one server that has connections. */
  connection?: number;
}

/** Microseconds between two samples. */
const profileIntervalUs = 250;

/** Waits for the setup, starts the server with it, says so, and ends with the parent. */
export function serve(start: (setup: Setup) => Promise<Ready>): void {
  const profileDir = process.env.BENCH_PROFILE_DIR;
  const session = new Session();
  process.once(
    'disconnect',
    () => void (profileDir ? saveProfile(session, profileDir) : Promise.resolve()).then(() => process.exit()),
  );
  process.once('message', (setup) => {
    start(setup as Setup)
      .then(async (ready) => {
        if (profileDir) await beginProfile(session);
        process.send?.(ready);
      })
      .catch((error: unknown) => {
        process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
        process.exit(1);
      });
  });
}

/** Begun when the server answers: loading its code takes longer than many requests and would hide them. */
async function beginProfile(session: Session): Promise<void> {
  session.connect();
  await session.post('Profiler.enable');
  await session.post('Profiler.setSamplingInterval', { interval: profileIntervalUs });
  await session.post('Profiler.start');
}

async function saveProfile(session: Session, folder: string): Promise<void> {
  const { profile } = await session.post('Profiler.stop');
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, `${process.pid}.cpuprofile`), JSON.stringify(profile));
}

/** @returns the origin under which `listener` is served by plain node:http. */
export async function listenOn(listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
