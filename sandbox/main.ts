import { createSandbox } from './sandbox.ts';

const DEFAULT_PORT = 4001;

/** Only the command line reads the environment: SANDBOX_PORT, SANDBOX_HOST, SANDBOX_DATA_DIR. */
async function main(): Promise<void> {
  const { SANDBOX_PORT, SANDBOX_HOST, SANDBOX_DATA_DIR } = process.env;
  const port = SANDBOX_PORT === undefined || SANDBOX_PORT === '' ? DEFAULT_PORT : Number(SANDBOX_PORT);
  if (!Number.isInteger(port) || port < 0 || port > 65_535) {
    throw new Error(`SANDBOX_PORT must be a port number from 0 to 65535, not "${SANDBOX_PORT}"`);
  }
  const sandbox = await createSandbox({
    port,
    host: SANDBOX_HOST || 'localhost',
    dataDir: SANDBOX_DATA_DIR || undefined,
    size: 'full',
  });

  let stopping: Promise<void> | undefined;
  const stop = (): void => {
    // Closed servers leave nothing behind, except the channel to a parent process.
    stopping ??= sandbox.close().then(() => {
      if (process.connected) process.disconnect();
    });
  };
  process.once('SIGTERM', stop);
  process.once('SIGINT', stop);
  process.once('disconnect', stop);

  if (process.send === undefined) process.stdout.write(`Sandbox of the record API: ${sandbox.url}\n`);
  else process.send({ ready: { url: sandbox.url } });
}

main().catch((error: unknown) => {
  const reason = error instanceof Error ? error.message : String(error);
  process.stderr.write(`The sandbox could not start: ${reason}\n`);
  process.exitCode = 1;
  if (process.connected) process.disconnect();
});
