import { compileServer, type CompiledServer } from './compiled-server.ts';
import { startDatabaseServer, type DatabaseServer } from './database-server.ts';

declare global {
  var testDatabaseServer: DatabaseServer | undefined;
  var testCompiledServer: CompiledServer | undefined;
}

/** Runs once per test run, before the first worker. The workers inherit the variables. */
export default async function startServers(): Promise<void> {
  const server = await startDatabaseServer(process.env['TEST_DATABASE_URL']);
  globalThis.testDatabaseServer = server;
  process.env['TEST_SERVER_URL'] = server.url;
  process.env['TEST_TEMPLATE_DATABASE'] = server.templateName;
  const compiled = await compileServer();
  globalThis.testCompiledServer = compiled;
  process.env['TEST_SERVER_PROGRAM'] = compiled.program;
}
