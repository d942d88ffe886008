import type { OtherAction } from '../audit/audit-event.ts';
import { AuditLog } from '../audit/audit-log.ts';
import { readConfig, type Config } from '../config.ts';
import {
  isComplete,
  readRotationCommand,
  rotationHelp,
  runRotation,
  showStatus,
} from '../encryption/rotation-command.ts';
import { SecretCipher } from '../encryption/secret-cipher.ts';
import { createLogger } from '../logger.ts';
import { withDatabase, type Command } from '../local/command.ts';
import { presentEncryptionKeys } from '../local/keys.ts';

/** `npm run rotate-keys`: brings all stored secrets under the first encryption key. @returns the exit code. */
export const rotateKeys: Command = async (args, { env, stdout, stderr }) => {
  const command = readRotationCommand(args);
  if (command.kind === 'help') {
    stdout.write(rotationHelp);
    return 0;
  }
  const config = readConfig(env);
  const cipher = await cipherOf(config);
  return withDatabase(config, async (database) => {
    const query = <Row>(text: string, parameters?: unknown[]) => database.query<Row[]>(text, parameters);
    if (command.kind === 'status') {
      stdout.write(await showStatus(command.json, query, cipher));
      return 0;
    }
    // An entry without an outcome tells of a run that was interrupted.
    const audit = new AuditLog({ database, logger: createLogger(config.logLevel) });
    const entry = await audit.begin({
      actor: { id: 'command-line', name: 'npm run rotate-keys' },
      action: 'rotateEncryptionKeys' satisfies OtherAction,
      target: `encryption-key:${cipher.sealingKeyId}`,
    });
    const { output, report } = await runRotation(command.json, { query, cipher, progress: stderr });
    const { resealed, unreadable, left } = report;
    await audit.end(entry, {
      outcome: unreadable > 0 ? 'SECRET_UNREADABLE' : isComplete(report) ? 'ok' : 'INCOMPLETE',
      details: { resealed, unreadable, left },
    });
    stdout.write(output);
    return isComplete(report) ? 0 : 1;
  });
};

async function cipherOf({ encryptionKeys, dataDir }: Config): Promise<SecretCipher> {
  return new SecretCipher(encryptionKeys.length > 0 ? encryptionKeys : await presentEncryptionKeys(dataDir));
}
