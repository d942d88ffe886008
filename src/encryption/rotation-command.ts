import { parseArgs, type ParseArgsConfig } from 'node:util';
import { AppError } from '../errors.ts';
import { countByKey, type Query } from './key-census.ts';
import { KeyRotation, type RotationResult, type UnreadableEnvelope } from './key-rotation.ts';
import { RotationProgress, type ProgressOutput } from './rotation-progress.ts';
import { listSealingServers } from './sealing-servers.ts';
import type { SecretCipher } from './secret-cipher.ts';
import { renderStatus, statusOf } from './key-status.ts';

/** Secrets that can't be decrypted are named one by one up to here; the rest is counted. */
export const maxNamed = 1_000;

export const rotationHelp = `Usage: npm run rotate-keys -- [options]

Re-encrypts every stored secret under the first key of ENCRYPTION_KEYS, while servers serve.

  --status   only show how many secrets stand under which key, and with which key the servers seal
  --json     the result as JSON on stdout
  --help     show this

Works on DATABASE_URL and ENCRYPTION_KEYS, or else on the local database and keys of npm start.
May be interrupted and run again at any time. Exit code 0 only when every secret stands under the first key and every
server that is connected seals with it: other keys can then be removed. docs/encryption.md tells the whole procedure.
`;

export type RotationCommand = { kind: 'help' } | { kind: 'status' | 'rotate'; json: boolean };

const options = {
  status: { type: 'boolean' },
  json: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} satisfies ParseArgsConfig['options'];

/** @param args What stands behind the name of the program. @throws AppError INVALID_INPUT */
export function readRotationCommand(args: string[]): RotationCommand {
  try {
    const { values } = parseArgs({ args, options });
    if (values.help) return { kind: 'help' };
    return { kind: values.status ? 'status' : 'rotate', json: values.json ?? false };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new AppError('INVALID_INPUT', `${reason}\nnpm run rotate-keys -- --help shows how it goes.`);
  }
}

/** @returns what goes to stdout. */
export async function showStatus(json: boolean, query: Query, cipher: SecretCipher): Promise<string> {
  const status = statusOf(await countByKey(query), await listSealingServers(query), cipher);
  return json ? `${JSON.stringify(status, null, 2)}\n` : renderStatus(status);
}

export interface RotationReport extends RotationResult {
  sealingKey: string;
  /** Servers that seal with another key than the first, by key. */
  otherServers: { keyId: string; servers: number }[];
}

/** Whether other keys than the first can be removed. */
export function isComplete({ unreadable, left, otherServers }: RotationReport): boolean {
  return unreadable === 0 && left === 0 && otherServers.length === 0;
}

/** @returns what goes to stdout, and what came of it. */
export async function runRotation(
  json: boolean,
  { query, cipher, progress: output }: { query: Query; cipher: SecretCipher; progress: ProgressOutput },
): Promise<{ output: string; report: RotationReport }> {
  const progress = new RotationProgress(output);
  const named: UnreadableEnvelope[] = [];
  const result = await new KeyRotation({
    query,
    cipher,
    watcher: {
      onProgress: (done, total) => progress.update(done, total),
      onUnreadable: (envelope) => {
        if (named.length >= maxNamed) return;
        named.push(envelope);
        progress.say(wordsForUnreadable(envelope));
      },
    },
  }).run();
  if (output.isTTY) output.write('\n');
  const servers = await listSealingServers(query);
  const report: RotationReport = {
    ...result,
    sealingKey: cipher.sealingKeyId,
    otherServers: servers.filter(({ keyId }) => keyId !== cipher.sealingKeyId),
  };
  if (json)
    return { output: `${JSON.stringify({ ...report, unreadableSecrets: named }, null, 2)}\n`, report };
  return { output: `${wordsFor(report).join('\n')}\n`, report };
}

function wordsForUnreadable(envelope: UnreadableEnvelope): string {
  const { table, column, row, connectionId, connectionName } = envelope;
  const whose =
    connectionId === null
      ? 'no connection'
      : `connection ${connectionId} "${(connectionName ?? '').replace(/\p{C}/gu, '?')}"`;
  return `Not re-encrypted: ${table}.${column}, row ${row}, ${whose}. ${envelope.message}`;
}

function wordsFor(report: RotationReport): string[] {
  const { sealingKey, resealed, unreadable, left, otherServers, stillSealing } = report;
  const lines = [`${secrets(resealed)} re-encrypted under key ${sealingKey}.`];
  if (unreadable > 0)
    lines.push(
      `${secrets(unreadable)} can't be decrypted and stayed as they were, each named above${unreadable > maxNamed ? ` (the first ${maxNamed})` : ''}. ` +
        'Put the missing key back into ENCRYPTION_KEYS and run this again, or enter the credentials again and reconnect.',
    );
  const others = otherServers.map(({ keyId, servers }) => `${servers} with ${keyId}`).join(', ');
  if (others !== '' || stillSealing.length > 0)
    lines.push(
      `Servers still seal with another key (${others || stillSealing.join(', ')}), so more secrets will appear under it. ` +
        `Put ${sealingKey} first in ENCRYPTION_KEYS of every server, restart them, and run this again.`,
    );
  else if (left > 0)
    lines.push(
      `${secrets(left)} could not be swapped: something else holds or changes their rows. Run this again.`,
    );
  if (isComplete(report))
    lines.push('No secret stands under another key: the others can be removed from ENCRYPTION_KEYS.');
  return lines;
}

function secrets(count: number): string {
  return count === 1 ? '1 secret' : `${count} secrets`;
}
