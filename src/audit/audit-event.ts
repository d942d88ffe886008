/** Who did it: a caller, the server by itself, the command line, a configuration file. */
export interface AuditActor {
  /** Such as `key:7`, `user:anna`, `server`, `command-line`, `connections-file`. Never a secret. */
  id: string;
  /** For people. */
  name: string;
}

/** One thing that somebody did or tried. Nothing in it may be a secret, or a value of a cell. */
export interface AuditEvent {
  actor: AuditActor;
  /** What was done, as a verb and its object in the spelling of mutations, such as `deleteConnection`. */
  action: string;
  /** `ok`, or the code of what went wrong, such as `NAME_TAKEN` or `ACCESS_DENIED`. */
  outcome: string;
  connectionId?: number | null;
  /** What else it was done to, such as `key:9` or a base's id. */
  target?: string | null;
  /** A few facts for the reader, such as how many records. */
  details?: Record<string, string | number | boolean | null>;
  requestId?: string | null;
}

/** Writes an event down. Never rejects: what can not be stored is logged as an error with all that it says. */
export type RecordAudit = (event: AuditEvent) => Promise<void>;

/** For what the server does by itself. */
export const theServer: AuditActor = { id: 'server', name: 'the server' };
