import type { ConfigError } from '../config.ts';
import { connectionsFileError, placeOf, type FileConnection } from './connections-file.ts';
import { maxConnections } from './connections.ts';

/** A connection that is there when the file is applied. */
export interface Present {
  id: number;
  name: string;
  made_by_file: boolean;
}

/** What the file wants and others have: numbers of connections made through the API, and names. */
export function conflictOf(
  path: string,
  connections: FileConnection[],
  present: Present[],
): ConfigError | null {
  const byId = new Map(present.map((connection) => [connection.id, connection]));
  const ids = new Set(connections.map(({ id }) => id));
  const others = present.filter(({ id }) => !ids.has(id));
  const byName = new Map(others.map((connection) => [connection.name, connection]));
  const faults = connections.flatMap(({ id, name, place }) => {
    const sameId = byId.get(id);
    const sameName = byName.get(name);
    return [
      ...(sameId?.made_by_file === false
        ? [
            `${placeOf(place, 'id')}: Connection ${id} (${JSON.stringify(sameId.name)}) was made through the API. Give this one another ID, or delete that one first`,
          ]
        : []),
      ...(sameName
        ? [
            `${placeOf(place, 'name')}: Connection ${sameName.id} has this name. Choose another name, or rename that one first`,
          ]
        : []),
    ];
  });
  const total = others.length + connections.length;
  if (total > maxConnections)
    faults.push(
      `With it the server would hold ${total} connections, and its limit is ${maxConnections}. Delete some that are no longer used`,
    );
  return faults.length > 0 ? connectionsFileError(path, faults) : null;
}
