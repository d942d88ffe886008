import { QueryFailedError, type DataSource, type EntityManager, type Repository } from 'typeorm';
import { connectionNotFound } from '../access/caller.ts';
import type { Caller } from '../access/caller.ts';
import { AppError } from '../errors.ts';
import { ConnectionEntity, type ConnectionState } from './connection.entity.ts';
import type { NewConnection } from './connection-input.ts';
import type { ConnectionSecrets } from './connection-secrets.ts';
import { problems, type ProblemCode } from './problem.ts';

/** More connections than this are refused; it also bounds the list, which has no pages. */
export const maxConnections = 1_000;

/** Connections as rows: created, found, listed, renamed. What moves their state lives in flows and access tokens. */
export class Connections {
  readonly #database: DataSource;
  readonly #repository: Repository<ConnectionEntity>;
  readonly #secrets: ConnectionSecrets;

  constructor(database: DataSource, secrets: ConnectionSecrets) {
    this.#database = database;
    this.#repository = database.getRepository(ConnectionEntity);
    this.#secrets = secrets;
  }

  /** @throws AppError NAME_TAKEN, TOO_MANY */
  async create(input: NewConnection & { requestedScopes: string[] }): Promise<ConnectionEntity> {
    try {
      return await this.#database.transaction(async (manager) => {
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
      throw nameTaken(error, input.name) ?? error;
    }
  }

  /** @throws AppError NAME_TAKEN, CONNECTION_NOT_FOUND */
  async rename(id: number, name: string): Promise<ConnectionEntity> {
    try {
      await this.#repository.update({ id }, { name, updatedAt: () => 'now()' });
    } catch (error) {
      throw nameTaken(error, name) ?? error;
    }
    return this.get(id);
  }

  async setAccount(id: number, account: { id: string; email: string | null }): Promise<void> {
    await this.#repository.update({ id }, { accountId: account.id, accountEmail: account.email });
  }

  async find(id: number): Promise<ConnectionEntity | null> {
    return this.#repository.findOneBy({ id });
  }

  /** @throws AppError CONNECTION_NOT_FOUND */
  async get(id: number): Promise<ConnectionEntity> {
    const connection = await this.find(id);
    if (!connection) throw connectionNotFound(id);
    return connection;
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
 * Puts a connection into `error`, where the epoch is still the one in which the trouble was seen.
 * @param fromStates States in which the problem matters; in any other nothing changes.
 */
export async function recordProblem(
  manager: EntityManager,
  connection: Pick<ConnectionEntity, 'id' | 'epoch'>,
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
      updatedAt: () => 'now()',
    })
    .where('id = :id AND epoch = :epoch AND state IN (:...fromStates)', {
      id: connection.id,
      epoch: connection.epoch,
      fromStates,
    })
    .execute();
  return result.affected === 1;
}

const uniqueViolation = '23505';

function nameTaken(error: unknown, name: string): AppError | null {
  const code = error instanceof QueryFailedError ? (error.driverError as { code?: string }).code : undefined;
  if (code !== uniqueViolation) return null;
  return new AppError('NAME_TAKEN', `There is already a connection named "${name}". Choose another name.`, {
    details: { name },
  });
}
