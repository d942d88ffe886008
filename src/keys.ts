import { keys } from './commands/keys.ts';
import { runCommand } from './local/command.ts';

await runCommand(keys);
