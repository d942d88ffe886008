import type { ConnectionEntity } from '../connections/connection.entity.ts';
import { CalendlyConnectionRef } from '../connections/schema.ts';
import { builder } from '../graphql/builder.ts';
import { perOperation } from '../graphql/context.ts';
import { beforeLookups } from '../graphql/pending-work.ts';
import { activityKinds, hourMs, type ActivityKind } from './activity-kind.ts';
import { ActivityReads, maxAlertsBeside, sumOf, type Hour } from './activity-reads.ts';
import { hoursBack } from './hours-back.ts';
import { AlertRef } from './schema.ts';

const reads = perOperation(
  ({ app }) => new ActivityReads({ log: app.activity, alerts: app.alerts, now: app.clock.now() }),
);

const descriptions: Record<ActivityKind, string> = {
  calls: 'Requests that left for the service, repeated ones among them; requests for tokens are not.',
  errors: 'Of these calls, the ones that brought an error or no answer.',
  rateLimited: 'Of these calls, the ones that were answered with 429: too many requests.',
  refused: 'Of these calls, the ones that were answered with 401 or 403.',
  refreshes: 'Token pairs that were renewed.',
  refreshesFailed: 'Renewals that were refused or never answered.',
  refreshRacesLost: 'Renewals that another process overtook.',
  macFailures: 'Notifications of webhooks with a wrong signature.',
};

const ActivityHourRef = builder.objectRef<Hour>('ActivityHour').implement({
  description: 'What a connection did in one hour of the clock (UTC).',
  fields: (t) => ({
    start: t.field({
      type: 'DateTime',
      description: 'When the hour begins.',
      resolve: ({ hour }) => hour,
    }),
    ...Object.fromEntries(
      activityKinds.map((kind) => [
        kind,
        t.int({ description: descriptions[kind], resolve: (hour) => hour[kind] }),
      ]),
    ),
  }),
});

interface ActivityNode {
  connection: ConnectionEntity;
  hours: Hour[];
  sum: Record<ActivityKind, number>;
}

const ConnectionActivityRef = builder.objectRef<ActivityNode>('ConnectionActivity').implement({
  description:
    'What a connection did lately, on all instances together, complete but for the last few seconds. Sums, and the same by hour.',
  fields: (t) => ({
    since: t.field({
      type: 'DateTime',
      description: 'When the first hour begins.',
      resolve: ({ hours }) => (hours[0] as Hour).hour,
    }),
    until: t.field({
      type: 'DateTime',
      description: 'When the last hour, which is the present one, ends.',
      resolve: ({ hours }) => new Date((hours.at(-1) as Hour).hour.getTime() + hourMs),
    }),
    ...Object.fromEntries(
      activityKinds.map((kind) => [
        kind,
        t.int({ description: descriptions[kind], resolve: ({ sum }) => sum[kind] }),
      ]),
    ),
    hours: t.field({
      type: [ActivityHourRef],
      description: 'Every hour, also those without any activity; the present one is the last.',
      resolve: ({ hours }) => hours,
    }),
    alerts: t.field({
      type: [AlertRef],
      description: `What was unusual in that time, newest first, ${maxAlertsBeside} at most; the query \`alerts\` gives all.`,
      resolve: async ({ connection, hours }, _args, context) => {
        const alerts = await beforeLookups(context, reads(context).alerts(connection.id, hours.length));
        return alerts.map((alert) => ({ alert, connection }));
      },
    }),
  }),
});

builder.objectField(CalendlyConnectionRef, 'activity', (t) =>
  t.field({
    type: ConnectionActivityRef,
    args: {
      last: t.arg({
        type: 'Duration',
        defaultValue: 'PT24H',
        description:
          'How far back, up to `P90D`; whole hours are given, so `PT90M` gives two. Years and months are not taken.',
      }),
    },
    // What can't be told of one connection must not take the list of all of them with it.
    nullable: true,
    description:
      'What the connection did lately, by hour, and what was unusual about it. Null with an error when `last` can not be taken, or when an operation asks for too many hours.',
    resolve: (connection, { last }, context) =>
      beforeLookups(
        context,
        (async () => {
          const hours = await reads(context).hours(connection.id, hoursBack(last ?? 'PT24H'));
          return { connection, hours, sum: sumOf(hours) };
        })(),
      ),
  }),
);
