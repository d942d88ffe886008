import { rotateKeys } from './commands/rotate-keys.ts';
import { runCommand } from './local/command.ts';

await runCommand(rotateKeys);
