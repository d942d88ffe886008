import { compile } from '../../bin/compile.js';
import { startDatabaseServer, type DatabaseServer } from './database-server.ts';

declare global {
  var testDatabaseServer: DatabaseServer | undefined;
}

/** Runs once per test run, before the first worker. The workers inherit the variables. */
export default async function startServers(): Promise<void> {
  const server = await startDatabaseServer(process.env['TEST_DATABASE_URL']);
  globalThis.testDatabaseServer = server;
  process.env['TEST_SERVER_URL'] = server.url;
  process.env['TEST_TEMPLATE_DATABASE'] = server.templateName;
  process.env['TEST_CLONING_STRATEGY'] = server.strategy;
  process.env['TEST_PROGRAMS'] = await compile();
}
