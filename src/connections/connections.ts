import { In, QueryFailedError, type DataSource, type EntityManager, type Repository } from 'typeorm';
import { connectionNotFound } from '../access/caller.ts';
import type { Caller } from '../access/caller.ts';
import type { WhoAmI } from '../calendly/wire.ts';
import { AppError } from '../errors.ts';
import { ConnectionRows } from './connection-rows.ts';
import { ConnectionEntity, type ConnectionState } from './connection.entity.ts';
import type { NewConnection } from './connection-input.ts';
import type { ConnectionSecrets } from './connection-secrets.ts';
import { problems, type ProblemCode } from './problem.ts';

/** More connections than this are refused; it also bounds the list, which has no pages. */
export const maxConnections = 1_000;

/** Connections as rows: created, found, listed, edited. What moves their state lives in flows, tokens and lifecycle. */
export class Connections {
  readonly #database: DataSource;
  readonly #repository: Repository<ConnectionEntity>;
  readonly #secrets: ConnectionSecrets;
  readonly #rows: ConnectionRows;

  constructor(database: DataSource, secrets: ConnectionSecrets) {
    this.#database = database;
    this.#repository = database.getRepository(ConnectionEntity);
    this.#secrets = secrets;
    this.#rows = new ConnectionRows(database);
  }

  /** @throws AppError NAME_TAKEN, TOO_MANY */
  async create(input: NewConnection & { requestedScopes: string[] }): Promise<ConnectionEntity> {
    try {
      return await this.#database.transaction(async (manager) => {
        // One at a time, and not beside the connections file, so that the count is still true when one is added.
        await manager.query('LOCK TABLE connections IN SHARE ROW EXCLUSIVE MODE');
        if ((await manager.count(ConnectionEntity)) >= maxConnections) {
          throw new AppError(
            'TOO_MANY',
            `This server holds ${maxConnections} connections already, which is its limit. Delete one that is no longer used.`,
          );
        }
        const { id } = await manager.save(
          manager.create(ConnectionEntity, {
            type: 'calendly',
            name: input.name,
            clientId: input.clientId,
            state: 'configured',
            requestedScopes: input.requestedScopes,
          }),
        );
        await this.#secrets.storeClientSecret(manager, id, input.clientSecret);
        return manager.findOneByOrFail(ConnectionEntity, { id });
      });
    } catch (error) {
      throw nameTaken(error, input.name) ?? numbersUsedUp(error) ?? error;
    }
  }

  /**
   * Writes what does not touch the grant, where it differs. What is null stays as it is stored, whatever was read of it
   * before: somebody else may have changed it since.
   * @throws AppError NAME_TAKEN
   */
  async edit(
    connection: Pick<ConnectionEntity, 'id'>,
    { name, requestedScopes }: { name: string | null; requestedScopes: string[] | null },
  ): Promise<void> {
    try {
      await this.#database.query(
        `UPDATE connections
         SET name = coalesce($2, name), requested_scopes = coalesce($3::text[], requested_scopes), updated_at = now()
         WHERE id = $1
           AND (name, requested_scopes) IS DISTINCT FROM (coalesce($2, name), coalesce($3::text[], requested_scopes))`,
        [connection.id, name, requestedScopes],
      );
    } catch (error) {
      throw (name === null ? null : nameTaken(error, name)) ?? error;
    }
  }

  /** Stores what the upstream says of a grant, unless it has ended or a newer flow has begun since it was read. */
  async recordIdentity(connection: Pick<ConnectionEntity, 'id' | 'epoch'>, who: WhoAmI): Promise<void> {
    await this.#database.query(
      `UPDATE connections
       SET account_id = $3, account_email = $4, granted_scopes = coalesce($5, granted_scopes), updated_at = now()
       WHERE id = $1 AND epoch = $2 AND state = 'connected'
         AND (account_id, account_email, granted_scopes) IS DISTINCT FROM ($3, $4, coalesce($5::text[], granted_scopes))`,
      [connection.id, connection.epoch, who.id, who.email ?? null, who.scopes ?? null],
    );
  }

  find(id: number): Promise<Readonly<ConnectionEntity> | null> {
    return this.#rows.find(id);
  }

  /** A row that was read no longer ago than this; null when none was. */
  recent(id: number, maxAgeMs: number): Readonly<ConnectionEntity> | null {
    return this.#rows.recent(id, maxAgeMs);
  }

  /** Names are unique, upper and lower case being different. */
  findByName(name: string): Promise<ConnectionEntity | null> {
    return this.#repository.findOneBy({ name });
  }

  /** @throws AppError CONNECTION_NOT_FOUND */
  async get(id: number): Promise<Readonly<ConnectionEntity>> {
    const connection = await this.find(id);
    if (!connection) throw connectionNotFound(id);
    return connection;
  }

  /** Those of the ids that are there, or all when no ids are given; oldest first. */
  async read(ids: number[] | null): Promise<ConnectionEntity[]> {
    return this.#repository.find({
      where: ids ? { id: In(ids) } : {},
      order: { id: 'ASC' },
      take: maxConnections,
    });
  }

  /** How many there are in each state; states without any are left out. */
  async countByState(): Promise<Map<ConnectionState, number>> {
    const rows = await this.#database.query<{ state: ConnectionState; count: number }[]>(
      'SELECT state, count(*)::int AS count FROM connections GROUP BY state',
    );
    return new Map(rows.map(({ state, count }) => [state, count]));
  }

  /** All that the caller may see, oldest first. */
  async list(caller: Caller, state?: ConnectionState): Promise<ConnectionEntity[]> {
    const all = await this.#repository.find({
      where: state ? { state } : {},
      order: { id: 'ASC' },
      take: maxConnections,
    });
    return all.filter((connection) => caller.sees(connection.id));
  }
}

/**
 * Puts a connection into `error`, where it is still what it was when the trouble was seen: in the same epoch for a flow,
 * with the same token pair for a refresh.
 * @param fromStates States in which the problem matters; in any other nothing changes.
 */
export async function recordProblem(
  manager: EntityManager,
  seen: Pick<ConnectionEntity, 'id'> & Partial<Pick<ConnectionEntity, 'epoch' | 'tokenGeneration'>>,
  problem: ProblemCode,
  fromStates: ConnectionState[],
): Promise<boolean> {
  const result = await manager
    .createQueryBuilder()
    .update(ConnectionEntity)
    .set({
      state: 'error',
      problemCode: problem,
      problemMessage: problems[problem],
      refreshSentGeneration: null,
      // A flow says nothing of the grant that was there before it.
      ...(problem === 'SECRET_UNREADABLE' && seen.tokenGeneration !== undefined
        ? { unreadableGeneration: seen.tokenGeneration }
        : {}),
      updatedAt: () => 'now()',
    })
    .where({ ...seen, state: In(fromStates) })
    .execute();
  return result.affected === 1;
}

const uniqueViolation = '23505';
const sequenceLimitExceeded = '2200H';

function codeOf(error: unknown): string | undefined {
  return error instanceof QueryFailedError ? (error.driverError as { code?: string }).code : undefined;
}

/** New connections are numbered after the highest number of the connections file, which may be the last there is. */
function numbersUsedUp(error: unknown): AppError | null {
  if (codeOf(error) !== sequenceLimitExceeded) return null;
  return new AppError(
    'TOO_MANY',
    'No number is left for a new connection: they go on after the highest ID of the connections file, up to 2147483647. Write the connection into that file, with a lower ID that is free.',
  );
}

function nameTaken(error: unknown, name: string): AppError | null {
  if (codeOf(error) !== uniqueViolation) return null;
  return new AppError('NAME_TAKEN', `There is already a connection named "${name}". Choose another name.`, {
    details: { name },
  });
}
