import { randomBytes } from 'node:crypto';
import { link, readFile, readlink, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { AppError } from '../errors.ts';
import { unwritable, writeWhole } from './data-folder.ts';
import { processIdentity } from './process-identity.ts';

const beatMs = 500;
/** Long enough for a living holder to beat, short enough that a refused start ends within two seconds. */
const watchMs = 1_300;
const attempts = 5;
const settleMs = 30;

interface Holder {
  /** Tells two cards apart, whoever wrote them. */
  id: string;
  pid: number;
  /** When that process began, see processIdentity. */
  identity: string;
  /** The machine and its process table: a pid means nothing outside it. */
  where: string;
  since: string;
  /** Null until it listens. */
  url: string | null;
}

/**
 * One process per data folder: two would run two PostgreSQL servers on the same files.
 *
 * The holder's card is the file `holder.json`. Taking the folder is linking a finished card to that name, which the
 * file system allows to one process alone. A card whose process is gone (killed, or the machine restarted) is moved
 * aside first. Whether it is gone is asked of the process table by number and time of birth; where the card comes from
 * another machine or container on a shared volume, the table says nothing, and a living holder shows itself by
 * touching the card twice a second.
 */
export class FolderHold {
  readonly #file: string;
  readonly #card: Holder;
  readonly #beat: NodeJS.Timeout;

  private constructor(file: string, card: Holder) {
    this.#file = file;
    this.#card = card;
    this.#beat = setInterval(() => {
      const now = new Date();
      // A failing beat is no reason to stop: at worst another container takes us for dead.
      utimes(file, now, now).catch(() => undefined);
    }, beatMs);
    this.#beat.unref();
  }

  /** @throws AppError naming the holder, when another process holds the folder. */
  static async take(dataDir: string): Promise<FolderHold> {
    const file = join(dataDir, 'holder.json');
    const card: Holder = {
      id: randomBytes(8).toString('hex'),
      pid: process.pid,
      identity: (await processIdentity(process.pid)) ?? 'unknown',
      where: await thisMachine(),
      since: new Date().toISOString(),
      url: null,
    };
    const text = JSON.stringify(card);
    const prepared = `${file}.${randomBytes(4).toString('hex')}`;
    try {
      await writeFile(prepared, text, { mode: 0o600 }).catch((cause: unknown) => {
        throw unwritable(dataDir, cause);
      });
      for (let attempt = 0; attempt < attempts; attempt++) {
        await link(prepared, file).catch((error: NodeJS.ErrnoException) => {
          if (error.code !== 'EEXIST') throw unlinkable(dataDir, error);
        });
        // Another start that saw a dead card may be moving ours aside and putting it back: what counts is what stays.
        await wait(settleMs);
        if ((await readFile(file, 'utf8').catch(() => null)) === text) return new FolderHold(file, card);
        await clearIfGone(file, dataDir, card.where);
      }
    } finally {
      await rm(prepared, { force: true });
    }
    throw new AppError(
      'INTERNAL',
      `The data folder ${dataDir} is being taken by several starts at once. Try again.`,
    );
  }

  /** Lets a refused second start name the address. */
  async announce(url: string): Promise<void> {
    this.#card.url = url;
    await writeWhole(this.#file, JSON.stringify(this.#card));
  }

  async release(): Promise<void> {
    clearInterval(this.#beat);
    await rm(this.#file, { force: true });
  }
}

async function clearIfGone(file: string, dataDir: string, here: string): Promise<void> {
  const text = await readFile(file, 'utf8').catch(() => null);
  if (text === null) return;
  const card = parseCard(text);
  if (card && (await isAlive(card, file, here))) throw refusal(card, dataDir);

  const aside = `${file}.${randomBytes(4).toString('hex')}`;
  await rename(file, aside).catch(() => undefined);
  const moved = await readFile(aside, 'utf8').catch(() => null);
  // Another start may have replaced the dead card between our look and our move: then it gets its card back.
  if (moved !== null && moved !== text) await link(aside, file).catch(() => undefined);
  await rm(aside, { force: true });
}

async function isAlive(card: Holder, file: string, here: string): Promise<boolean> {
  if (card.where === here) return (await processIdentity(card.pid)) === card.identity;
  const before = await stat(file).catch(() => null);
  await wait(watchMs);
  const after = await stat(file).catch(() => null);
  return before !== null && after !== null && after.mtimeMs !== before.mtimeMs;
}

function refusal(card: Holder, dataDir: string): AppError {
  const what = card.url ? `serves ${card.url}` : 'is starting';
  return new AppError(
    'INTERNAL',
    `Already running: process ${card.pid} ${what} from the data folder ${dataDir} since ${card.since}.\nUse that one, stop it (kill ${card.pid}), or set DATA_DIR and PORT for a second one.`,
  );
}

/** Some file systems, such as exFAT and some network shares, have no links; they refuse one like a folder that is not ours. */
function unlinkable(dataDir: string, cause: NodeJS.ErrnoException): AppError {
  const { code = '' } = cause;
  if (!['EPERM', 'ENOSYS', 'ENOTSUP', 'EOPNOTSUPP', 'EMLINK'].includes(code))
    return unwritable(dataDir, cause);
  return new AppError(
    'INTERNAL',
    `The file system of the data folder ${dataDir} makes no hard links (${code}). Set DATA_DIR to a folder on another one.`,
    { cause },
  );
}

function parseCard(text: string): Holder | null {
  try {
    const card = JSON.parse(text) as Partial<Holder>;
    return typeof card.pid === 'number' && typeof card.identity === 'string' ? (card as Holder) : null;
  } catch {
    return null;
  }
}

async function thisMachine(): Promise<string> {
  const processTable = await readlink('/proc/self/ns/pid').catch(() => '');
  return `${hostname()} ${processTable}`.trim();
}
