import { ApiKeys } from '../access/api-keys.ts';
import { keysHelp, readKeysCommand, runKeysCommand } from '../access/keys-command.ts';
import { AuditLog } from '../audit/audit-log.ts';
import { readConfig } from '../config.ts';
import { withDatabase, type Command } from '../local/command.ts';
import { createLogger } from '../logger.ts';

/** `npm run keys`: API keys by command line, beside a server that runs or without one. @returns the exit code. */
export const keys: Command = async (args, { env, stdout, stderr }) => {
  const command = readKeysCommand(args, Date.now());
  if (command.kind === 'help') {
    stdout.write(keysHelp);
    return 0;
  }
  const { output, note } = await withDatabase(readConfig(env), (database) => {
    const audit = new AuditLog({ database, logger: createLogger('error') });
    return runKeysCommand(command, new ApiKeys(database, audit.record), audit);
  });
  stderr.write(note);
  stdout.write(output);
  return 0;
};
