import { parseArgs, type ParseArgsConfig } from 'node:util';
import { theCommandLine, type OtherAction } from '../audit/audit-event.ts';
import type { AuditLog } from '../audit/audit-log.ts';
import { AppError } from '../errors.ts';
import type { ApiKey } from './api-key.ts';
import type { ApiKeys, NewApiKey } from './api-keys.ts';
import { newApiKey } from './key-input.ts';

/** Longest life that can be asked for on the command line. */
const maxLifeDays = 3_650;

export const keysHelp = `Usage: npm run keys -- <command>

  create --name <name> --role <viewer|editor|admin>
         [--connection <id>]...   only these connections; all when left out
         [--base <id>]...         only these bases; all when left out
         [--expires-in <time>]    such as 90m, 12h or 30d; never when left out
  list                            all keys; never the keys themselves
  revoke <id>                     ends a key, and within five seconds what runs under it
  --help                          show this

Works on DATABASE_URL, or else on the local database of npm start, whether that runs or not.
The new key is the only line on stdout: KEY=$(npm run -s keys -- create --name ci --role viewer)
`;

export type KeysCommand =
  | { kind: 'help' }
  | { kind: 'create'; wanted: NewApiKey }
  | { kind: 'list' }
  | { kind: 'revoke'; id: number };

const options = {
  name: { type: 'string' },
  role: { type: 'string' },
  connection: { type: 'string', multiple: true },
  base: { type: 'string', multiple: true },
  'expires-in': { type: 'string' },
  help: { type: 'boolean', short: 'h' },
} satisfies ParseArgsConfig['options'];

/**
 * @param args What stands behind the name of the program.
 * @throws AppError INVALID_INPUT naming all faults, one per line.
 */
export function readKeysCommand(args: string[], now: number): KeysCommand {
  const { values, positionals } = parse(args);
  const [verb, ...rest] = positionals;
  if (values.help) return { kind: 'help' };
  if (verb === undefined) throw refused(['Say what to do: create, list or revoke']);
  if (verb !== 'create') {
    const [given] = Object.keys(values);
    if (given !== undefined) throw refused([`--${given} goes with create only`]);
  }
  switch (verb) {
    case 'create':
      requireNoMore(rest);
      return { kind: 'create', wanted: readWanted(values, now) };
    case 'list':
      requireNoMore(rest);
      return { kind: 'list' };
    case 'revoke': {
      const [id = '', ...more] = rest;
      requireNoMore(more);
      if (!/^[1-9]\d{0,8}$/.test(id)) throw refused(['Name the key by its number, as list shows it']);
      return { kind: 'revoke', id: Number(id) };
    }
    default:
      throw refused([`There is no command ${verb}`]);
  }
}

/** @returns what goes to stdout, and what is said beside it. */
export async function runKeysCommand(
  command: Exclude<KeysCommand, { kind: 'help' }>,
  keys: ApiKeys,
  audit: AuditLog,
): Promise<{ output: string; note: string }> {
  switch (command.kind) {
    case 'create': {
      const { key, apiKey } = await audit.during(
        {
          actor: theCommandLine,
          action: 'createApiKey' satisfies OtherAction,
          details: { role: command.wanted.role.toUpperCase() },
        },
        () => keys.issue(command.wanted),
        { done: (issued) => ({ outcome: 'ok', target: `key:${issued.apiKey.id}` }), failed },
      );
      return {
        output: `${key}\n`,
        note: `Created key ${apiKey.id}, ${apiKey.role}, ${reachOf(apiKey)}, ${stateOf(apiKey)}. It is shown this once: keep it now.\n`,
      };
    }
    case 'list':
      return { output: table(await keys.list()), note: '' };
    case 'revoke': {
      const { id } = await audit.during(
        { actor: theCommandLine, action: 'revokeApiKey' satisfies OtherAction, target: `key:${command.id}` },
        () => keys.revoke(command.id),
        { done: () => ({ outcome: 'ok' }), failed },
      );
      return {
        output: '',
        note: `Key ${id} opens nothing any more. What runs under it ends within five seconds.\n`,
      };
    }
  }
}

function failed(error: unknown): { outcome: string } {
  return { outcome: error instanceof AppError ? error.code : 'INTERNAL' };
}

function parse(args: string[]) {
  try {
    return parseArgs({ args, options, allowPositionals: true });
  } catch (error) {
    throw refused([error instanceof Error ? error.message : String(error)]);
  }
}

function readWanted(values: ReturnType<typeof parse>['values'], now: number): NewApiKey {
  const parsed = newApiKey(now).safeParse({
    name: values.name,
    role: values.role,
    connections: values.connection?.map(Number),
    bases: values.base,
    expiresAt: values['expires-in'] === undefined ? null : endOf(values['expires-in'], now),
  });
  if (!parsed.success) throw refused(parsed.error.issues.map(({ message }) => message));
  return parsed.data;
}

const minuteMs = 60_000;
const unitMs: Record<string, number> = { m: minuteMs, h: 60 * minuteMs, d: 1_440 * minuteMs };

function endOf(life: string, now: number): Date {
  const [, count = '', unit = ''] = /^([1-9]\d{0,6})([mhd])$/.exec(life) ?? [];
  const ms = Number(count) * (unitMs[unit] ?? NaN);
  if (!(ms <= maxLifeDays * 1_440 * minuteMs))
    throw refused([`--expires-in must be a time such as 90m, 12h or 30d, ${maxLifeDays}d at most`]);
  return new Date(now + ms);
}

function requireNoMore(rest: string[]): void {
  if (rest[0] !== undefined) throw refused([`${rest[0]} is one word too many`]);
}

function refused(faults: string[]): AppError {
  return new AppError('INVALID_INPUT', `${faults.join('\n')}\nnpm run keys -- --help shows how it goes.`);
}

function table(keys: ApiKey[]): string {
  const rows = [
    ['ID', 'NAME', 'ROLE', 'REACHES', 'LAST USED', 'STATE'],
    ...keys.map((key) => [
      String(key.id),
      printable(key.name),
      key.role,
      reachOf(key),
      key.lastUsedAt ? minuteOf(key.lastUsedAt) : 'never',
      stateOf(key),
    ]),
  ];
  const widths =
    rows[0]?.map((_head, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? [];
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .map((line) => `${line}\n`)
    .join('');
}

function reachOf({ connectionIds, baseIds }: ApiKey): string {
  const connections = connectionIds ? `connection ${connectionIds.join(', ')}` : 'all connections';
  return baseIds ? `${connections}, base ${baseIds.join(', ')}` : connections;
}

function stateOf({ configured, revokedAt, expiresAt }: ApiKey): string {
  if (configured) return 'ADMIN_API_KEY';
  if (revokedAt) return `revoked ${minuteOf(revokedAt)}`;
  if (!expiresAt) return 'does not expire';
  return `${expiresAt.getTime() > Date.now() ? 'expires' : 'expired'} ${minuteOf(expiresAt)}`;
}

function minuteOf(time: Date): string {
  return `${time.toISOString().slice(0, 16).replace('T', ' ')} UTC`;
}

/** A name from elsewhere must not move the terminal's cursor. */
function printable(name: string): string {
  return name.replace(/\p{C}/gu, '?');
}
