import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { migrate } from '../../src/database/data-source.ts';
import { LocalPostgres } from '../../src/local/postgres.ts';
import type { TestDatabase } from './database.ts';
import { folderPrefix } from './database-server.ts';
import { LoadBalancer } from './load-balancer.ts';

const maxConnections = 200;

/**
 * A PostgreSQL that belongs to one test alone, which may stop it and start it again. It is reached through an address
 * that stays, and is as durable as in production.
 */
export class RestartablePostgres implements TestDatabase {
  readonly url: string;
  readonly #folder: string;
  readonly #door: LoadBalancer;
  readonly #pool: pg.Pool;
  #server: LocalPostgres;
  #restarting: Promise<void> = Promise.resolve();
  #isOver = false;

  private constructor(folder: string, door: LoadBalancer, server: LocalPostgres) {
    this.#folder = folder;
    this.#door = door;
    this.#server = server;
    const url = new URL(server.url);
    url.host = new URL(door.url).host;
    this.url = url.href;
    door.ports = [Number(new URL(server.url).port)];
    this.#pool = new pg.Pool({ connectionString: this.url, max: 4 });
    this.#pool.on('error', () => undefined);
  }

  /** Migrated and empty. */
  static async start(): Promise<RestartablePostgres> {
    const folder = await mkdtemp(join(tmpdir(), `${folderPrefix}${process.pid}-`));
    // mkdtemp shuts everybody else out; when we are root, the server's own user has to pass through.
    await chmod(folder, 0o711);
    const door = await LoadBalancer.start();
    const database = new RestartablePostgres(folder, door, await launch(folder));
    try {
      await migrate(database.url);
      return database;
    } catch (error) {
      await database.close();
      throw error;
    }
  }

  async query(text: string, params?: unknown[]): Promise<Record<string, unknown>[]> {
    return (await this.#pool.query<Record<string, unknown>>(text, params)).rows;
  }

  /**
   * Ends it and starts it again after a while.
   * @param how In order, with open transactions rolled back, or by SIGKILL.
   */
  async restart(how: 'stopped' | 'killed', downMs: number): Promise<void> {
    if (this.#isOver) return;
    this.#restarting = this.#restart(how, downMs);
    await this.#restarting;
  }

  async #restart(how: 'stopped' | 'killed', downMs: number): Promise<void> {
    if (how === 'stopped') await this.#server.stop();
    else {
      const card = await readFile(join(this.#server.place.home, 'postgres', 'postmaster.pid'), 'utf8');
      process.kill(Number(card.split('\n')[0]), 'SIGKILL');
      await this.#server.ended;
    }
    await new Promise((resolve) => setTimeout(resolve, downMs));
    this.#server = await launch(this.#folder);
    this.#door.ports = [Number(new URL(this.#server.url).port)];
  }

  /** Also in the middle of a restart, which a test that has failed may have begun. */
  async close(): Promise<void> {
    this.#isOver = true;
    await this.#restarting.catch(() => undefined);
    await this.#pool.end().catch(() => undefined);
    await this.#server.stop();
    await this.#door.close();
    await rm(this.#folder, { recursive: true, force: true, maxRetries: 3 });
  }
}

function launch(folder: string): Promise<LocalPostgres> {
  return LocalPostgres.start({ dataDir: join(folder, 'data'), maxConnections, durable: true });
}
