import { ConnectionRef, visibleConnection } from '../connections/schema.ts';
import type { ConnectionEntity } from '../connections/connection.entity.ts';
import { connectionId } from '../connections/connection-input.ts';
import { AppError } from '../errors.ts';
import { builder } from '../graphql/builder.ts';
import type { GraphQLContext } from '../graphql/context.ts';
import { maxListLength, pageInfoOf, pageLength } from '../graphql/list-slice.ts';
import { beforeLookups } from '../graphql/pending-work.ts';
import {
  callsAboveUsual,
  endpointFailing,
  forgedBurst,
  racesLostBurst,
  refusedBurst,
  type AlertKind,
} from './alert-rules.ts';
import { alertMessage, type Alert } from './alerts.ts';

export interface AlertNode {
  alert: Alert;
  connection: ConnectionEntity;
}

const burst = ({ count, windowMinutes }: typeof refusedBurst, of: string): string =>
  `${count} ${of} within ${windowMinutes} minutes.`;

const AlertKindEnum = builder.enumType('AlertKind', {
  description: 'What was unusual.',
  values: {
    REFUSED_BURST: { description: burst(refusedBurst, 'calls refused with 401 or 403') },
    MAC_FAILURES: { description: burst(forgedBurst, 'notifications with a wrong signature') },
    REFRESH_RACES_LOST: {
      description: burst(racesLostBurst, 'renewals of the tokens that another process overtook'),
    },
    ENDPOINT_FAILING: {
      description: `${endpointFailing.count} deliveries of a trigger in a row failed, over ${endpointFailing.windowMinutes} minutes at least.`,
    },
    CALLS_ABOVE_USUAL: {
      description: `In one hour ${callsAboveUsual.factor} times the calls of the busiest hour in the ${callsAboveUsual.usualDays} days before, and ${callsAboveUsual.minCalls} at least. Only once the connection is known for ${callsAboveUsual.historyDays} days.`,
    },
  } satisfies Record<AlertKind, { description: string }>,
});

export const AlertRef = builder.objectRef<AlertNode>('Alert').implement({
  description:
    'Something unusual that a connection did, or that was done to it. Told once an hour at most, for each trigger if it is about one.',
  fields: (t) => ({
    id: t.id({
      description: 'Stays the same; a newer alert has a higher one.',
      resolve: ({ alert }) => alert.id,
    }),
    kind: t.field({
      type: AlertKindEnum,
      description: 'What was unusual.',
      resolve: ({ alert }) => alert.kind,
    }),
    message: t.string({
      description: 'What happened and what to do next. May be shown to people.',
      resolve: ({ alert }) => alertMessage(alert),
    }),
    triggerId: t.string({
      nullable: true,
      description: 'The trigger whose endpoint fails, of ENDPOINT_FAILING; null for all others.',
      resolve: ({ alert }) => alert.subject || null,
    }),
    connection: t.field({
      type: ConnectionRef,
      description: 'Whose activity it was.',
      resolve: ({ connection }) => connection,
    }),
    raisedAt: t.field({
      type: 'DateTime',
      description: 'When it was noticed.',
      resolve: ({ alert }) => alert.raisedAt,
    }),
    since: t.field({
      type: 'DateTime',
      description: 'From when on was counted.',
      resolve: ({ alert }) => alert.since,
    }),
    until: t.field({
      type: 'DateTime',
      description: 'Until when was counted; the end of the hour for CALLS_ABOVE_USUAL.',
      resolve: ({ alert }) => alert.until,
    }),
    count: t.int({
      description: 'How many there were when it was noticed. There may have been more since.',
      resolve: ({ alert }) => alert.count,
    }),
    threshold: t.int({
      description: 'From how many on it is unusual.',
      resolve: ({ alert }) => alert.threshold,
    }),
  }),
});

const AlertEdgeRef = builder.objectRef<AlertNode>('AlertEdge').implement({
  description: 'An alert and its cursor.',
  fields: (t) => ({
    cursor: t.string({ description: 'Pass it as `after` to go on behind this alert.', resolve: cursorOf }),
    node: t.field({ type: AlertRef, description: 'The alert.', resolve: (alert) => alert }),
  }),
});

interface AlertPageNode {
  alerts: AlertNode[];
  hasMore: boolean;
  after: string | null;
}

const AlertPageRef = builder.objectRef<AlertPageNode>('AlertPage').implement({
  description: 'A part of the alerts, newest first.',
  fields: (t) => ({
    edges: t.field({
      type: [AlertEdgeRef],
      description: 'The alerts with their cursors.',
      resolve: ({ alerts }) => alerts,
    }),
    nodes: t.field({ type: [AlertRef], description: 'The alerts.', resolve: ({ alerts }) => alerts }),
    pageInfo: t.field({
      type: builder.pageInfoRef(),
      description: 'Whether there is more, and where to go on.',
      resolve: ({ alerts, ...page }) => pageInfoOf(alerts, cursorOf, page),
    }),
  }),
});

builder.queryField('alerts', (t) =>
  t.field({
    type: AlertPageRef,
    args: {
      first: t.arg.int({ description: `How many, 1 to ${maxListLength}; 50 by default.` }),
      after: t.arg.string({ description: 'The `endCursor` of the page before.' }),
      connection: t.arg.int({
        description: 'Only alerts of this connection. Of all that your key may see by default.',
        validate: { schema: connectionId },
      }),
    },
    description:
      'What was unusual about the connections that your key may see, newest first. Alerts are kept for 90 days and go with their connection.',
    resolve: (_root, args, context) => beforeLookups(context, readPage(args, context)),
  }),
);

async function readPage(
  { first, after, connection }: { first?: number | null; after?: string | null; connection?: number | null },
  context: GraphQLContext,
): Promise<AlertPageNode> {
  const { app, caller } = context;
  const length = pageLength(first);
  const before = after == null ? null : alertIdIn(after);
  const seen =
    connection == null ? await app.connections.list(caller) : [await visibleConnection(connection, context)];
  const connections = new Map(seen.map((one) => [one.id, one]));
  const found = await app.alerts.list([...connections.keys()], before, length + 1);
  const alerts = found.slice(0, length).flatMap((alert) => {
    const its = connections.get(alert.connectionId);
    return its ? [{ alert, connection: its }] : [];
  });
  return { alerts, hasMore: found.length > length, after: after ?? null };
}

function cursorOf({ alert }: AlertNode): string {
  return Buffer.from(`alert:${alert.id}`).toString('base64url');
}

/** @throws AppError CURSOR_INVALID */
function alertIdIn(cursor: string): number {
  const id = /^alert:([1-9]\d{0,14})$/.exec(
    Buffer.from(cursor.slice(0, 100), 'base64url').toString('utf8'),
  )?.[1];
  if (id !== undefined) return Number(id);
  throw new AppError(
    'CURSOR_INVALID',
    'The cursor "after" does not belong to the list of alerts. Take it from `endCursor`, or begin without it.',
  );
}
