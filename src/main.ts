import { existsSync } from 'node:fs';
import { setTimeout as wait } from 'node:timers/promises';
import { systemClock } from './clock.ts';
import { Closing } from './closing.ts';
import { ConfigError, readConfig, type Config } from './config.ts';
import { AppError } from './errors.ts';
import { folderSize } from './local/data-folder.ts';
import { Progress, usesColour } from './local/progress.ts';
import { startLocalParts, type LocalParts } from './local/start.ts';
import { renderSummary } from './local/summary.ts';
import { createLogger, type Logger } from './logger.ts';

/** How long an ordered end may take altogether before the process leaves in any case. */
const stopTimeoutMs = 10_000;

/** An app that is being built when the wish to stop comes has so long to be whole, and be closed in order, in milliseconds. */
const buildGraceMs = 1_000;

/** Signals that come this close together are one wish. */
const sameWishMs = 300;

const help = `Usage: npm start

Starts the GraphQL server, and what it needs: PostgreSQL, a sandbox of the upstream, keys.
Everything is set by environment variables; .env.example lists them with their defaults.

  --help      show this
  --version   show the version
`;

/** Answers --help and --version. @returns the exit code, or null when the server should start. */
async function answerArguments(args: string[]): Promise<number | null> {
  const [first] = args;
  if (first === undefined) return null;
  if (first === '--help' || first === '-h') {
    process.stdout.write(help);
    return 0;
  }
  if (first === '--version' || first === '-v') {
    const { default: description } = await import('../package.json', { with: { type: 'json' } });
    process.stdout.write(`${description.version}\n`);
    return 0;
  }
  process.stderr.write(`Unknown argument ${first}\n\n${help}`);
  return 1;
}

/** Starts everything, in parallel where it can be: loading our own modules takes about as long as the database. */
async function start(
  config: Config,
  logger: Logger,
  closing: Closing,
  signal: AbortSignal,
): Promise<LocalParts> {
  const progress = new Progress(config.production ? { write: () => true } : process.stdout);
  const modules = Promise.all([import('./app.ts'), import('./server/listen.ts')]);
  // Awaited below; until then a failure of the local parts comes first.
  modules.catch(() => undefined);
  const local = await startLocalParts(config, { progress, closing, signal });
  const [{ createApp }, { listen }] = await progress.step('Server', modules);

  const building = createApp(local.config, { logger, clock: systemClock });
  closing.opened('app', async () => {
    // One that waits for the database, or for another instance that migrates it, ends with the process.
    const grace = wait(buildGraceMs, null, { ref: false });
    const built = await Promise.race([building.catch(() => null), grace]);
    await built?.close();
  });
  const app = await unlessAborted(building, signal);
  const server = await listen(app, { host: local.config.host, port: local.config.port });
  closing.opened('server', () => server.close());

  const url = local.config.publicUrl;
  await local.hold?.announce(url);
  logger.info({ url }, 'ready');
  if (!config.production) {
    const folders = [local.hold ? config.dataDir : null, local.clusterFolder].filter(
      (folder) => folder !== null,
    );
    const sizes = await Promise.all(folders.map(folderSize));
    process.stdout.write(
      renderSummary({
        url,
        explorerUrl: `${url}/graphql#code=${await app.explorerCodes.issue()}`,
        sandboxUrl: local.sandboxUrl,
        upstreamUrl: local.config.upstream.apiUrl,
        data: local.hold
          ? {
              folder: config.dataDir,
              clusterFolder: local.clusterFolder,
              bytes: sizes.reduce((a, b) => a + b, 0),
            }
          : null,
        adminKeyFile: local.adminKeyFile,
        tookMs: performance.now(),
        colour: usesColour(process.stdout),
      }),
    );
  }
  return local;
}

/** What the step gives. @throws the signal's reason as soon as it is aborted; the step goes on by itself. */
function unlessAborted<T>(step: Promise<T>, signal: AbortSignal): Promise<T> {
  const aborted = new Promise<never>((_resolve, reject) => {
    const onAbort = (): void => reject(signal.reason as Error);
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
  });
  return Promise.race([step, aborted]);
}

/** Runs until a signal or a broken part. @returns the exit code. */
async function run(config: Config, logger: Logger): Promise<number> {
  const stopping = new AbortController();
  let wishedAt = 0;
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(name, () => {
      // A second wish to stop is an impatient one; local parts are told to end as the process leaves. One Ctrl-C may
      // come twice, from the terminal and from the npm or tsx around us.
      if (!stopping.signal.aborted) wishedAt = performance.now();
      else if (performance.now() - wishedAt > sameWishMs) process.exit(1);
      stopping.abort();
    });
  }
  const stopped = new Promise<null>((resolve) => {
    stopping.signal.addEventListener('abort', () => resolve(null));
  });
  const late = () => wait(stopTimeoutMs, 'late' as const, { ref: false });
  const outcome = await Promise.race([
    startAndClose(config, logger, stopping.signal, { stopped, late }),
    // Counted from the wish, which may come while parts are still starting.
    stopped.then(late),
  ]);
  if (outcome !== 'late') return outcome;
  logger.error({ afterMs: stopTimeoutMs }, 'not everything ended in time');
  return 1;
}

async function startAndClose(
  config: Config,
  logger: Logger,
  signal: AbortSignal,
  { stopped, late }: { stopped: Promise<null>; late: () => Promise<'late'> },
): Promise<number | 'late'> {
  const closing = new Closing(logger);
  let exitCode = 0;
  try {
    const local = await start(config, logger, closing, signal);
    const ended = await Promise.race([stopped, local.firstEnded]);
    if (ended !== null) {
      throw new AppError(
        'INTERNAL',
        `The ${ended} has ended by itself, so the server stops. Start again to go on.`,
      );
    }
  } catch (error) {
    if (!signal.aborted) {
      report(error, config.production ? logger : null);
      exitCode = 1;
    }
  }
  return Promise.race([closing.closeAll().then(() => exitCode), late()]);
}

/** To a person in words, to production's log as JSON. What is expected to go wrong needs no stack. */
function report(error: unknown, logger: Logger | null): void {
  if (logger) {
    logger.fatal({ err: error }, 'cannot run');
    return;
  }
  const isExpected = error instanceof AppError || error instanceof ConfigError;
  const text =
    error instanceof Error ? (isExpected ? error.message : (error.stack ?? error.message)) : String(error);
  process.stderr.write(`\n${text}\n`);
}

async function main(): Promise<number> {
  const answered = await answerArguments(process.argv.slice(2));
  if (answered !== null) return answered;
  // What the environment sets already stays as it is.
  if (existsSync('.env')) process.loadEnvFile('.env');
  let config: Config;
  try {
    config = readConfig(process.env);
  } catch (error) {
    report(error, null);
    return 1;
  }
  const logger = createLogger(config.logLevel);
  for (const event of ['unhandledRejection', 'uncaughtException'] as const) {
    process.on(event, (error: unknown) => {
      logger.fatal({ err: error }, event);
      process.exit(1);
    });
  }
  return run(config, logger);
}

process.exitCode = await main();
// Whatever is still open, an explorer's idle socket for one, has had its time.
setTimeout(() => process.exit(), 500).unref();
