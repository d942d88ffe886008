import { existsSync } from 'node:fs';
import { ApiKeys } from './access/api-keys.ts';
import { keysHelp, readKeysCommand, runKeysCommand } from './access/keys-command.ts';
import { AuditLog } from './audit/audit-log.ts';
import { readConfig } from './config.ts';
import { runCommand, withDatabase } from './local/command.ts';
import { createLogger } from './logger.ts';

/** `npm run keys`: API keys by command line, beside a server that runs or without one. @returns the exit code. */
async function main(args: string[]): Promise<number> {
  const command = readKeysCommand(args, Date.now());
  if (command.kind === 'help') {
    process.stdout.write(keysHelp);
    return 0;
  }
  // What the environment sets already stays as it is.
  if (existsSync('.env')) process.loadEnvFile('.env');
  const { output, note } = await withDatabase(readConfig(process.env), (database) => {
    const audit = new AuditLog({ database, logger: createLogger('error') });
    return runKeysCommand(command, new ApiKeys(database, audit.record), audit);
  });
  process.stderr.write(note);
  process.stdout.write(output);
  return 0;
}

await runCommand(main);
