import { createDataSource } from './src/database/data-source.ts';

/** The data source of TypeORM's command line: `npm run typeorm -- migration:show`. Needs DATABASE_URL. */
const url = process.env.DATABASE_URL;
if (!url) throw new Error('Set DATABASE_URL to the database that the migration commands should work on.');

export default createDataSource(url, { poolSize: 2 });
