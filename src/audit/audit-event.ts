/** Who did it: a caller, the server by itself, the command line, a configuration file. */
export interface AuditActor {
  /** Such as `key:7`, `user:anna`, `server`, `command-line`, `connections-file`, `address:192.0.2.7`. Never a secret. */
  id: string;
  /** For people. */
  name: string;
}

/** A few facts for the reader, such as how many records. */
export type AuditDetails = Record<string, string | number | boolean | null>;

/** Something that somebody is about to do. Nothing in it may be a secret, or a value of a cell. */
export interface AuditBeginning {
  actor: AuditActor;
  /** What is done, as a verb and its object in the spelling of mutations, such as `deleteConnection`. */
  action: string;
  connectionId?: number | null;
  /** What else it is done to, such as `key:9` or a base's id. */
  target?: string | null;
  details?: AuditDetails;
  requestId?: string | null;
}

/** What came of it, with what only the outcome could tell, such as the id of what was created. */
export interface AuditEnding {
  /** `ok`, or the code of what went wrong, such as `NAME_TAKEN` or `ACCESS_DENIED`. */
  outcome: string;
  connectionId?: number | null;
  target?: string | null;
  details?: AuditDetails;
}

/** What is written down although no mutation asked for it. docs/audit.md lists the same. */
export const otherActions = [
  'openAuthorization',
  'finishAuthorization',
  'refreshTokens',
  'restoreConnection',
  'createConnection',
  'updateConnection',
  'createApiKey',
  'revokeApiKey',
  'setAdminKey',
  'forgetApiKeys',
  'rotateEncryptionKeys',
  'authenticate',
  'pauseTrigger',
  'resumeTrigger',
  'pauseSync',
  'resumeSync',
] as const;
export type OtherAction = (typeof otherActions)[number];

/** One thing that somebody did or tried, of which only the end is written down. */
export type AuditEvent = AuditBeginning & AuditEnding & { action: OtherAction };

/** Writes an event down. Never rejects: what can not be stored is logged as an error with all that it says. */
export type RecordAudit = (event: AuditEvent) => Promise<void>;

/** For what the server does by itself. */
export const theServer: AuditActor = { id: 'server', name: 'the server' };

/** For what somebody does at the server's command line, whoever it is: the database's password was all it took. */
export const theCommandLine: AuditActor = { id: 'command-line', name: 'the command line' };
