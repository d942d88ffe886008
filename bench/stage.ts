import { randomBytes } from 'node:crypto';
import { loadavg } from 'node:os';
import { grantToken } from '../test/support/sandbox-grant.ts';
import { startChild, type Child } from './child.ts';
import { leaveServerCore } from './cores.ts';
import { startDatabase } from './database.ts';
import { machine } from './report.ts';
import type { Setup } from './servers/serve.ts';

/** A database, a sandbox with a grant, and servers as they are asked for. */
export interface Stage {
  databaseUrl: string;
  sandbox: Child;
  /** An access token of the sandbox. */
  token: string;
  /** @param more where the server's set-up differs */
  start(file: string, more?: Partial<Setup>): Promise<Child>;
}

/**
 * Sets up what a scenario needs, plays it, and clears everything away.
 * @param sandboxFile by default one that tells of its notifications
 */
export async function onStage(
  play: (stage: Stage) => Promise<void>,
  profileDir: string | null,
  sandboxFile: 'pinging-sandbox.ts' | 'sandbox.ts' = 'pinging-sandbox.ts',
): Promise<void> {
  leaveServerCore();
  console.log(`${machine()} Load average ${loadavg()[0]?.toFixed(1)} at the start.`);
  const stops: (() => Promise<void>)[] = [];
  try {
    const database = await startDatabase();
    stops.push(() => database.stop());
    const sandbox = await startChild(sandboxFile, {}, { pinned: false });
    stops.push(() => sandbox.stop());
    const { accessToken: token } = await grantToken(sandbox.url);
    const setup: Setup = {
      databaseUrl: database.url,
      sandboxUrl: sandbox.url,
      adminKey: randomBytes(32).toString('base64url'),
      encryptionKeys: `bench:${randomBytes(32).toString('base64')}`,
      token,
      page: { records: [] },
      limited: false,
    };
    await play({
      databaseUrl: database.url,
      sandbox,
      token,
      async start(file, more = {}) {
        const child = await startChild(file, { ...setup, ...more }, { pinned: true, profileDir });
        stops.push(() => child.stop());
        return child;
      },
    });
  } finally {
    for (const stop of stops.reverse()) await stop();
  }
}
