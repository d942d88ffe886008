/** Runs once per test run, after the last worker, in the process of the setup. */
export default async function stopServers(): Promise<void> {
  await globalThis.testDatabaseServer?.stop();
}
