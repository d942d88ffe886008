import type { Query } from './key-census.ts';

const prefix = 'omnera-calendly seals with ';

/**
 * The name under which a server listens to PostgreSQL, which holds one such connection per process: so everybody who
 * rotates keys sees with which key each server seals. 59 of PostgreSQL's 63 bytes at most.
 */
export function listenerName(sealingKeyId: string): string {
  return `${prefix}${sealingKeyId}`;
}

/** How many servers are connected to this database now, by the key with which they seal. */
export async function listSealingServers(query: Query): Promise<{ keyId: string; servers: number }[]> {
  return query(
    `SELECT substr(application_name, length($1) + 1) AS "keyId", count(*)::integer AS servers FROM pg_stat_activity
     WHERE datname = current_database() AND starts_with(application_name, $1) GROUP BY 1 ORDER BY 1`,
    [prefix],
  );
}
