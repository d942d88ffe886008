import { createReadStream } from 'node:fs';
import { z } from 'zod';
import { ConfigError, type ConnectionsFileSetting } from '../config.ts';
import { suggestion } from '../nearest-name.ts';
import { connectionId, newConnection, type NewConnection } from './connection-input.ts';
import { maxConnections } from './connections.ts';
import { withVariables } from './file-variables.ts';
import { findJsonFault } from './json-fault.ts';
import { requestedScopes, scopePresets, type ScopePreset } from './scopes.ts';

/** A larger file is refused: a thousand connections take less. */
const maxFileBytes = 1_000_000;

/** The longest piece of a key that a fault quotes, in characters. */
const maxQuotedKey = 60;

/** A connection as the file wants it. */
export interface FileConnection extends NewConnection {
  id: number;
  requestedScopes: string[];
  /** Where it stands in the file, such as `[1]`; empty when the file is one connection. */
  place: string;
}

export interface ConnectionsFile {
  path: string;
  connections: FileConnection[];
}

const presets = Object.keys(scopePresets) as [ScopePreset, ...ScopePreset[]];

const entrySchema = z.strictObject({
  type: newConnection.shape.type,
  id: connectionId,
  name: newConnection.shape.name,
  clientId: newConnection.shape.clientId,
  clientSecret: newConnection.shape.clientSecret,
  scopes: z.enum(presets, { error: `Scopes must be one of ${presets.join(', ')}` }).default('WITH_WEBHOOKS'),
  withEmail: z.boolean({ error: 'withEmail must be true or false' }).default(false),
});
const knownKeys = Object.keys(entrySchema.shape);

/**
 * Reads the connections that the server should have from a JSON file: one object, or a list of them.
 * @throws ConfigError with all faults of the file at once, each with its place, and nothing of its values
 */
export async function readConnectionsFile({
  path,
  variable,
}: ConnectionsFileSetting): Promise<ConnectionsFile> {
  const refuse = (faults: string[]) => connectionsFileError(path, faults);
  const text = await readText(path, refuse);
  const jsonFault = findJsonFault(text);
  if (jsonFault) {
    const { line, column, expected } = jsonFault;
    throw refuse([`line ${line}, column ${column}: This is not JSON. Expected ${expected}`]);
  }
  const content = JSON.parse(text) as unknown;
  const entries = (Array.isArray(content) ? content : [content]) as unknown[];
  if (entries.length > maxConnections)
    throw refuse([
      `It holds ${entries.length} connections, and a server at most ${maxConnections}. Delete some`,
    ]);

  const connections: FileConnection[] = [];
  const faults: string[] = [];
  for (const [index, entry] of entries.entries()) {
    const place = Array.isArray(content) ? `[${index}]` : '';
    const read = readEntry(entry, place, variable);
    faults.push(...read.faults);
    if (read.connection) connections.push(read.connection);
  }
  faults.push(...repetitions(connections));
  if (faults.length > 0) throw refuse(faults);
  return { path, connections };
}

export function connectionsFileError(path: string, faults: string[]): ConfigError {
  return new ConfigError(faults, `The connections file ${path}`);
}

/** The place of a fault, such as `[1].clientSecret`, or `clientSecret` where the file is one connection. */
export function placeOf(place: string, key: string): string {
  return place === '' ? key : `${place}.${key}`;
}

function readEntry(
  entry: unknown,
  place: string,
  variable: ConnectionsFileSetting['variable'],
): { connection: FileConnection | null; faults: string[] } {
  if (typeof entry !== 'object' || entry === null || Array.isArray(entry))
    return {
      connection: null,
      faults: [`${place || 'the file'}: Must be an object with the keys of a connection`],
    };

  const faults: string[] = [];
  const keysAtFault = new Set<unknown>();
  const expanded = Object.fromEntries(
    Object.entries(entry).map(([key, value]: [string, unknown]) => {
      if (typeof value !== 'string') return [key, value];
      const { text, faults: found } = withVariables(value, variable);
      if (found.length > 0) keysAtFault.add(key);
      faults.push(...found.map((fault) => `${placeOf(place, key)}: ${fault}`));
      return [key, text];
    }),
  );
  const parsed = entrySchema.safeParse(expanded);
  for (const issue of parsed.error?.issues ?? []) {
    if (issue.code === 'unrecognized_keys')
      faults.push(...issue.keys.map((key) => `${placeOf(place, quotedKey(key))}: ${unknownKey(key)}`));
    else if (!keysAtFault.has(issue.path[0]))
      faults.push(`${placeOf(place, issue.path.join('.'))}: ${issue.message}`);
  }
  if (!parsed.success || faults.length > 0) return { connection: null, faults };
  const { scopes, withEmail, ...connection } = parsed.data;
  return {
    connection: { ...connection, requestedScopes: requestedScopes(scopes, withEmail), place },
    faults,
  };
}

function unknownKey(key: string): string {
  return `There is no such key.${suggestion(key, knownKeys) || ` Known are ${knownKeys.join(', ')}`}`;
}

function quotedKey(key: string): string {
  const quoted = /^\w+$/.test(key) ? key : JSON.stringify(key);
  return quoted.length > maxQuotedKey ? `${quoted.slice(0, maxQuotedKey)}…` : quoted;
}

/** Numbers and names are unique, and a file that gives one twice can't mean both. */
function repetitions(connections: FileConnection[]): string[] {
  const faults: string[] = [];
  const byId = new Map<number, string>();
  const byName = new Map<string, string>();
  for (const { id, name, place } of connections) {
    const sameId = byId.get(id);
    const sameName = byName.get(name);
    if (sameId !== undefined) faults.push(`${place}.id: ${sameId} has the same ID. Give each its own`);
    if (sameName !== undefined)
      faults.push(`${place}.name: ${sameName} has the same name. Give each its own`);
    byId.set(id, sameId ?? place);
    byName.set(name, sameName ?? place);
  }
  return faults;
}

/** No more of it is read than may be there, whatever kind of file it is. */
async function readText(path: string, refuse: (faults: string[]) => ConfigError): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of createReadStream(path, { end: maxFileBytes }) as AsyncIterable<Buffer>) {
      chunks.push(chunk);
      bytes += chunk.length;
    }
  } catch (error) {
    throw refuse([unreadable(error)]);
  }
  if (bytes > maxFileBytes)
    throw refuse([`It is larger than ${maxFileBytes} bytes, which is the most that is read`]);
  try {
    // A byte order mark, as some editors write it, is dropped.
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(chunks));
  } catch {
    throw refuse(['It is not UTF-8. Save it in that encoding']);
  }
}

function unreadable(error: unknown): string {
  const code =
    typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : 'no code';
  if (code === 'ENOENT') return 'There is no such file. Correct CONNECTIONS_FILE, or unset it';
  if (code === 'EACCES' || code === 'EPERM') return 'The server may not read it. Give its user the right to';
  if (code === 'EISDIR') return 'It is a folder. Name a file in CONNECTIONS_FILE';
  return `It can not be read (${code})`;
}
