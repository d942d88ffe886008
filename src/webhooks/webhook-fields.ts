import { builder } from '../graphql/builder.ts';
import { faultsOf, healthOf, lagMsOf } from './health.ts';
import type { NotificationResult, Webhook } from './webhook.ts';

const WebhookStateEnum = builder.enumType('WebhookState', {
  description: 'Whether a webhook tells us of changes.',
  values: {
    ACTIVE: { value: 'active', description: 'It lives, and changes are logged.' },
    LOST: { value: 'lost', description: 'It is gone upstream, and a new one is about to take its place.' },
  } as const,
});

const WebhookHealthEnum = builder.enumType('WebhookHealth', {
  description: 'Whether changes come as they should.',
  values: {
    HEALTHY: { value: 'healthy', description: 'All is well.' },
    DEGRADED: {
      value: 'degraded',
      description: 'Changes come, but late, or something needs to be looked after.',
    },
    BROKEN: {
      value: 'broken',
      description:
        'No changes come. What the upstream records meanwhile is told later, or announced as `ChangesLost`.',
    },
  } as const,
});

const WebhookFaultEnum = builder.enumType('WebhookHealthReason', {
  description: 'Something about a webhook that is not as it should be.',
  values: {
    GONE: {
      value: 'gone',
      description: 'It is gone upstream. A new one is made as soon as a connection can.',
    },
    CONNECTION_AWAY: {
      value: 'connection_away',
      description:
        'The connection that it is read through has to be connected again. The upstream keeps changes for seven days.',
    },
    PULLS_FAILING: {
      value: 'pulls_failing',
      description: 'The last attempts to pull changes failed; `problem` says why. They are repeated.',
    },
    EXPIRING: {
      value: 'expiring',
      description: 'It ends within two days and could not be extended so far.',
    },
    NOTIFICATIONS_FAILING: {
      value: 'notifications_failing',
      description:
        'The upstream could not deliver its last notification; see `lastNotificationResult`. Changes are pulled on a timer.',
    },
    SECRET_UNREADABLE: {
      value: 'secret_unreadable',
      description:
        'Its notifications can not be checked, since its secret is lost. Changes are pulled on a timer until it is replaced.',
    },
    URL_OUTDATED: {
      value: 'url_outdated',
      description:
        'It notifies an address that is no longer ours. Changes are pulled on a timer until it is replaced.',
    },
    NARROW: {
      value: 'narrow',
      description: 'It tells nothing of tables and fields although the grant allows it. It will be replaced.',
    },
    REPLACEMENT_BLOCKED: {
      value: 'replacement_blocked',
      description:
        'It should be replaced, but the upstream refused to create another one; `problem` says why. It is tried again every ten minutes.',
    },
  } as const,
});

const NotificationResultRef = builder.objectRef<NotificationResult>('WebhookNotificationResult').implement({
  description: "How the upstream's last notification to us went, as the upstream tells it.",
  fields: (t) => ({
    success: t.exposeBoolean('success', { description: 'Whether we answered it well.' }),
    message: t.exposeString('message', {
      nullable: true,
      description: 'What went wrong, in the words of the upstream.',
    }),
    retryNumber: t.exposeInt('retryNumber', {
      nullable: true,
      description: 'Which try it was; 0 is the first.',
    }),
    willBeRetried: t.exposeBoolean('willBeRetried', {
      nullable: true,
      description: 'Whether the upstream will try again.',
    }),
    completedAt: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'When it ended.',
      resolve: (result) => result.completedAt,
    }),
  }),
});

export const WebhookRef = builder.objectRef<Webhook>('Webhook').implement({
  description:
    'A subscription that this server holds upstream. There is one per OAuth client and base, whoever asked for it; what it tells goes into the change log of the base.',
  fields: (t) => ({
    id: t.exposeString('id', { description: 'Our own id of it, as in its notification URL.' }),
    upstreamId: t.exposeString('upstreamId', {
      nullable: true,
      description: "The upstream's id of it; starts with `ach`.",
    }),
    baseId: t.exposeString('baseId', { description: 'The base it listens to.' }),
    state: t.field({
      type: WebhookStateEnum,
      description: 'Whether it works.',
      resolve: ({ state }) => (state === 'lost' ? 'lost' : 'active'),
    }),
    health: t.field({
      type: WebhookHealthEnum,
      description: 'Whether changes come as they should.',
      resolve: (webhook, _args, { app }) => healthOf(faultsOf(webhook, app.clock.now())),
    }),
    healthReasons: t.field({
      type: [WebhookFaultEnum],
      description: 'What is not as it should be, worst first; empty when all is well.',
      resolve: (webhook, _args, { app }) => faultsOf(webhook, app.clock.now()),
    }),
    problem: t.string({
      nullable: true,
      description:
        'What is wrong, in words: why changes could not be pulled the last time, or why it could not be replaced.',
      resolve: ({ problem, replacementProblem }) => problem ?? replacementProblem,
    }),
    lagMs: t.int({
      description:
        'For how long something is known to wait upstream that is not in the log yet, in milliseconds; 0 when nothing is.',
      resolve: ({ behindSince }, _args, { app }) => lagMsOf(behindSince, app.clock.now()),
    }),
    notificationUrl: t.exposeString('notificationUrl', {
      nullable: true,
      description:
        'Where the upstream pings us; null when it could not reach us there, and changes are pulled on a timer instead.',
    }),
    expiresAt: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'When the upstream would end it. It is renewed long before.',
      resolve: (webhook) => webhook.expiresAt,
    }),
    lastPingAt: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'When the upstream last told us to look.',
      resolve: (webhook) => webhook.lastPingAt,
    }),
    lastPayloadAt: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'When changes were last pulled.',
      resolve: (webhook) => webhook.lastPayloadAt,
    }),
    lastDrainedAt: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'Every change that the upstream had recorded by then is in the log.',
      resolve: (webhook) => webhook.lastDrainedAt,
    }),
    lastNotificationResult: t.field({
      type: NotificationResultRef,
      nullable: true,
      description:
        "The upstream's word on its last notification, looked up every minute while somebody listens, and every ten minutes otherwise.",
      resolve: (webhook) => webhook.notificationResult,
    }),
    createdAt: t.field({
      type: 'DateTime',
      description: 'When it was created.',
      resolve: (webhook) => webhook.createdAt,
    }),
  }),
});
