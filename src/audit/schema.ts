import { AppError } from '../errors.ts';
import { builder } from '../graphql/builder.ts';
import { maxListLength, pageInfoOf, pageLength } from '../graphql/list-slice.ts';
import { encodeAuditCursor, type AuditQuery } from './audit-cursor.ts';
import type { AuditEntry } from './audit-entries.ts';
import type { AuditActor } from './audit-event.ts';

const AuditActorRef = builder.objectRef<AuditActor>('AuditActor').implement({
  description: 'Who did something, as they were called at the time.',
  fields: (t) => ({
    id: t.exposeString('id', {
      description:
        'Stable: `key:7` is the API key with that number; `server`, `command-line` and `address:…` are what they say.',
    }),
    name: t.exposeString('name', { description: 'For people. Names change and repeat; ids do not.' }),
  }),
});

const AuditEntryRef = builder.objectRef<AuditEntry>('AuditEntry').implement({
  description: 'One thing that somebody did or tried. It never changes again once it has an outcome.',
  fields: (t) => ({
    id: t.exposeString('id', {
      description: 'Unique, and rising with time, except for what happens at once.',
    }),
    at: t.field({ type: 'DateTime', description: 'When it began.', resolve: ({ at }) => at }),
    actor: t.field({
      type: AuditActorRef,
      description: 'Who did it.',
      resolve: ({ actorId, actorName }) => ({ id: actorId, name: actorName }),
    }),
    action: t.exposeString('action', {
      description: 'What was done: the name of the mutation, or a similar name for what is none.',
    }),
    connectionId: t.exposeInt('connectionId', {
      nullable: true,
      description: 'The number of the connection it was about, which may be gone; null for none.',
    }),
    target: t.exposeString('target', {
      nullable: true,
      description:
        'What else it was about, such as `appABC123/tblDEF456`, `key:9` or `webhook:…`; null for nothing.',
    }),
    outcome: t.exposeString('outcome', {
      nullable: true,
      description:
        '`ok`, or the code of what went wrong. Null while it runs, and for good when the server stopped, or lost its database, before the outcome was known.',
    }),
    completedAt: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'When the outcome was known; null like the outcome.',
      resolve: ({ completedAt }) => completedAt,
    }),
    details: t.field({
      type: 'JSON',
      description:
        'A few facts more: an object of numbers, choices and ids, such as how many records. Never a secret, a name or a cell.',
      resolve: ({ details }) => details,
    }),
    requestId: t.exposeString('requestId', {
      nullable: true,
      description:
        'The `X-Request-Id` of the request, under which the logs tell more; null for what was none.',
    }),
  }),
});

interface AuditPageNode {
  query: AuditQuery;
  after: string | null;
  entries: AuditEntry[];
  hasMore: boolean;
}

const AuditEdgeRef = builder.objectRef<{ query: AuditQuery; entry: AuditEntry }>('AuditEdge').implement({
  description: 'An entry and its cursor.',
  fields: (t) => ({
    cursor: t.string({
      description: 'Pass it as `after` to go on behind this entry.',
      resolve: ({ query, entry }) => encodeAuditCursor(query, entry),
    }),
    node: t.field({ type: AuditEntryRef, description: 'The entry.', resolve: ({ entry }) => entry }),
  }),
});

const AuditPageRef = builder.objectRef<AuditPageNode>('AuditPage').implement({
  description: 'A part of the audit log, newest first.',
  fields: (t) => ({
    edges: t.field({
      type: [AuditEdgeRef],
      description: 'The entries with their cursors.',
      resolve: ({ query, entries }) => entries.map((entry) => ({ query, entry })),
    }),
    nodes: t.field({
      type: [AuditEntryRef],
      description: 'The entries.',
      resolve: ({ entries }) => entries,
    }),
    pageInfo: t.field({
      type: builder.pageInfoRef(),
      description: 'Whether there is more, and where to go on.',
      resolve: ({ query, entries, ...page }) =>
        pageInfoOf(entries, (entry) => encodeAuditCursor(query, entry), page),
    }),
  }),
});

builder.queryField('auditLog', (t) =>
  t.field({
    type: AuditPageRef,
    authScopes: { role: 'admin' },
    args: {
      first: t.arg.int({ description: `How many, 1 to ${maxListLength}; 50 by default.` }),
      after: t.arg.string({ description: 'Only what is older than the entry with this cursor.' }),
      connection: t.arg.int({ description: 'Only what was about the connection with this number.' }),
      actor: t.arg.string({
        description: 'Only what this actor did, by the id, such as `key:7` or `server`.',
      }),
      action: t.arg.string({ description: 'Only what has exactly this name, such as `deleteConnection`.' }),
      since: t.arg({ type: 'DateTime', description: 'Only what began at this time or later.' }),
      until: t.arg({ type: 'DateTime', description: 'Only what began before this time.' }),
    },
    description:
      'Who did what, when, and what came of it: every mutation, including those that were refused, and what became of connections and keys in other ways. Newest first. A key with a reach sees what was about its connections, and what it did itself. For admins.',
    resolve: async (_root, { first, after = null, ...given }, { app, caller }) => {
      const query: AuditQuery = {
        connection: given.connection ?? null,
        actor: word('actor', given.actor),
        action: word('action', given.action),
        since: given.since ?? null,
        until: given.until ?? null,
      };
      const found = await app.auditEntries.list(query, { reader: caller, after, first: pageLength(first) });
      return { query, after, ...found };
    },
  }),
);

/** Longest name of an actor or action that is looked for, in characters; no entry has a longer one. */
const maxWordLength = 200;

function word(argument: string, text: string | null | undefined): string | null {
  if (text == null || (text.length <= maxWordLength && !text.includes('\0'))) return text ?? null;
  throw new AppError(
    'INVALID_INPUT',
    `"${argument}" must be the id or name that an entry has, at most ${maxWordLength} characters.`,
    { details: { argument, max: maxWordLength } },
  );
}
