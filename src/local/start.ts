import type { ResolvedConfig } from '../app.ts';
import type { Closing } from '../closing.ts';
import type { Config } from '../config.ts';
import { ensureDataFolder, secretFile } from './data-folder.ts';
import { FolderHold } from './holder.ts';
import { keptAdminApiKey, keptEncryptionKeys } from './keys.ts';
import { portFor } from './ports.ts';
import { LocalPostgres } from './postgres.ts';
import type { Progress } from './progress.ts';
import { SandboxProcess } from './sandbox.ts';

/** Connections beside the pool: listening for notifications, and a person with psql. */
const spareConnections = 20;

/** What was started for this process alone, because the configuration named nothing else. */
export interface LocalParts {
  config: ResolvedConfig;
  sandboxUrl: string | null;
  /** Where the local database lies, when it could not stay in the data folder. */
  clusterFolder: string | null;
  adminKeyFile: string | null;
  /** Null when nothing of ours lies on this machine. */
  hold: FolderHold | null;
  /** Fulfilled with the name of the first local part that has ended, by itself or because it was closed. */
  firstEnded: Promise<string>;
}

/**
 * Completes the configuration. What it does not name is started or made here, and handed to `closing` in the order in
 * which it has to be closed again. In production everything is named (readConfig sees to that), so nothing is.
 */
export async function startLocalParts(
  config: Config,
  options: { progress: Progress; closing: Closing; signal: AbortSignal },
): Promise<LocalParts> {
  const { progress, closing, signal } = options;
  // Production without one lets in whom the identity provider names, and needs no key.
  const generatesAdminKey = !config.adminApiKey && !config.production;
  const needsFolder =
    !config.databaseUrl || !config.upstream || config.encryptionKeys.length === 0 || generatesAdminKey;
  const hold = needsFolder ? await takeFolder(config.dataDir, closing) : null;

  // A chosen port wins over the sandbox's default, and the other way round.
  const promised = config.portIsChosen && !config.sandboxPortIsChosen ? [] : [config.sandboxPort];
  const wish = { port: config.port, isChosen: config.portIsChosen, variable: 'PORT' };
  const port = await portFor(wish, config.host, promised);
  if (port !== config.port && config.port !== 0)
    progress.note(`Port ${config.port} is taken: listening on ${port}`);

  const [encryptionKeys, adminApiKey] = await Promise.all([
    config.encryptionKeys.length > 0 ? config.encryptionKeys : keptEncryptionKeys(config.dataDir),
    generatesAdminKey ? keptAdminApiKey(config.dataDir) : config.adminApiKey,
  ]);
  const started = await Promise.allSettled([
    config.databaseUrl ? null : startPostgres(config, progress, closing, signal),
    config.upstream ? null : startSandbox(config, port, progress, closing, signal),
  ]);
  // Both are waited for, so that neither is left behind when the other fails.
  const [postgres, sandbox] = started.map((outcome) => {
    if (outcome.status === 'rejected') throw outcome.reason;
    return outcome.value;
  }) as [LocalPostgres | null, SandboxProcess | null];
  signal.throwIfAborted();

  return {
    config: {
      ...config,
      port,
      publicUrl: config.publicUrl ?? `http://${shownHost(config.host)}:${port}`,
      databaseUrl: config.databaseUrl ?? postgres?.url ?? '',
      upstream: config.upstream ?? { apiUrl: sandbox?.url ?? '', oauthUrl: sandbox?.url ?? '' },
      encryptionKeys,
      adminApiKey,
    },
    sandboxUrl: sandbox?.url ?? null,
    clusterFolder: postgres?.place.isElsewhere ? postgres.place.home : null,
    adminKeyFile: generatesAdminKey ? secretFile(config.dataDir, 'admin-api-key') : null,
    hold,
    firstEnded: Promise.race([endOf(postgres, 'local PostgreSQL'), endOf(sandbox, 'sandbox')]),
  };
}

async function takeFolder(dataDir: string, closing: Closing): Promise<FolderHold> {
  await ensureDataFolder(dataDir);
  const hold = await FolderHold.take(dataDir);
  closing.opened('data folder', () => hold.release());
  return hold;
}

async function startPostgres(
  config: Config,
  progress: Progress,
  closing: Closing,
  signal: AbortSignal,
): Promise<LocalPostgres> {
  const postgres = await progress.step(
    'PostgreSQL',
    LocalPostgres.start({
      dataDir: config.dataDir,
      maxConnections: config.databasePoolSize + spareConnections,
      durable: true,
      signal,
    }),
  );
  closing.opened('PostgreSQL', () => postgres.stop());
  if (postgres.place.isElsewhere) {
    progress.note(
      `PostgreSQL's system user cannot enter ${config.dataDir}: the database lies in ${postgres.place.home}`,
    );
  }
  return postgres;
}

async function startSandbox(
  config: Config,
  serverPort: number,
  progress: Progress,
  closing: Closing,
  signal: AbortSignal,
): Promise<SandboxProcess> {
  const wish = { port: config.sandboxPort, isChosen: config.sandboxPortIsChosen, variable: 'SANDBOX_PORT' };
  const port = await portFor(wish, 'localhost', [serverPort]);
  if (port !== wish.port && wish.port !== 0)
    progress.note(`Port ${wish.port} is taken: the sandbox listens on ${port}`);
  const sandbox = await progress.step(
    'Sandbox',
    SandboxProcess.start({ dataDir: config.dataDir, port, signal }),
  );
  closing.opened('sandbox', () => sandbox.stop());
  return sandbox;
}

async function endOf(part: LocalPostgres | SandboxProcess | null, name: string): Promise<string> {
  if (!part) return new Promise(() => undefined);
  await part.ended;
  return name;
}

/** A name that a browser on this machine can open. */
function shownHost(host: string): string {
  if (host === '0.0.0.0' || host === '::') return 'localhost';
  return host.includes(':') ? `[${host}]` : host;
}
