import type { DataSource, EntityManager } from 'typeorm';

/** Where statements are run: one by one on a connection of the pool, or in somebody's transaction. */
export type Sql = Pick<DataSource | EntityManager, 'query'>;
