import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LocalPostgres } from '../src/local/postgres.ts';

const maxConnections = 60;

/** A PostgreSQL for one run, as durable as the one of `npm start`, outside of the tree and gone afterwards. */
export async function startDatabase(): Promise<{ url: string; stop(): Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), 'omnera-calendly-bench-'));
  // mkdtemp shuts everybody else out; when we are root, the server's own user has to pass through.
  await chmod(folder, 0o711);
  const remove = (): Promise<void> => rm(folder, { recursive: true, force: true });
  try {
    const server = await LocalPostgres.start({
      dataDir: join(folder, 'data'),
      maxConnections,
      durable: true,
    });
    return {
      url: server.url,
      async stop() {
        await server.stop();
        await remove();
      },
    };
  } catch (error) {
    await remove();
    throw error;
  }
}
