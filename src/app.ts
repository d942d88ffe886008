import type { DataSource } from 'typeorm';
import type { Config } from './config.ts';
import type { Clock } from './clock.ts';
import type { Logger } from './logger.ts';

/** Everything that lives as long as the process, built once. */
export interface App {
  config: ResolvedConfig;
  logger: Logger;
  clock: Clock;
  database: DataSource;
}

export type ResolvedConfig = Config & {
  databaseUrl: string;
  publicUrl: string;
  upstream: { apiUrl: string; oauthUrl: string };
};
