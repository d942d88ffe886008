import { Counter, Histogram, type Registry } from 'prom-client';

/*
 * Everything that the product measures is declared here and nowhere else; docs/metrics.md lists the same names. The parts
 * of the product tell what happened by callbacks, which app.ts connects to the methods of Metrics, so none of them knows
 * of metrics.
 *
 * Labels have few and known values. What belongs to a caller, a base or a connection is kept in the database instead
 * (`CalendlyConnection.activity`). Every series stands at zero from the start, so that a rate has something to begin
 * with, and its handle is made once, so that counting builds no objects.
 */

export const prefix = 'omnera_calendly_';

/** Names of the upstream's endpoints as the calls give them, with `_` for spaces. Any other is counted as `other`. */
export const endpoints = [
  'who_am_i',
  'list_bases',
  'get_base_schema',
  'list_records',
  'create_records',
  'update_records',
  'upsert_records',
  'delete_records',
  'list_webhooks',
  'create_webhook',
  'delete_webhook',
  'refresh_webhook',
  'enable_notifications',
  'list_payloads',
  'other',
] as const;

/** The values of every other label. */
export const values = {
  type: ['query', 'mutation', 'subscription'],
  /** A subscription lasts as long as somebody listens. */
  timedType: ['query', 'mutation'],
  operation: ['ok', 'errors'],
  call: ['ok', 'limited', 'refused', 'rejected', 'failed', 'lost', 'unsent', 'aborted'],
  priority: ['person', 'drain', 'background'],
  refresh: ['renewed', 'failed', 'race_lost'],
  ping: ['accepted', 'forged', 'unknown', 'early', 'oversized', 'failed'],
  change: ['created', 'updated', 'deleted', 'schema', 'lost'],
  delivery: ['delivered', 'failed', 'parked'],
  alert: ['REFUSED_BURST', 'MAC_FAILURES', 'REFRESH_RACES_LOST', 'CALLS_ABOVE_USUAL', 'ENDPOINT_FAILING'],
} as const;
export type Value<Label extends keyof typeof values> = (typeof values)[Label][number];

/** Upper bounds in seconds; the deadlines of reads and writes are among them. */
const operationBuckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 240];
const callBuckets = [0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 12, 60];
const waitBuckets = [0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 240];
const lagBuckets = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1_800];

/** Handles for all that is counted or measured, by the values of their labels. */
export function declare(registry: Registry) {
  const registers = [registry];
  const counter = <L extends string>(name: string, help: string, labelNames: L[]): Counter<L> =>
    new Counter({ name: prefix + name, help, labelNames, registers });
  const histogram = <L extends string>(
    name: string,
    help: string,
    buckets: number[],
    labelNames: L[],
  ): Histogram<L> => new Histogram({ name: prefix + name, help, buckets, labelNames, registers });

  const operations = counter('operations_total', 'GraphQL operations that were executed.', [
    'type',
    'outcome',
  ]);
  const operationSeconds = histogram(
    'operation_duration_seconds',
    'Queries and mutations, from the beginning of their execution to its result.',
    operationBuckets,
    ['type'],
  );
  const calls = counter(
    'upstream_calls_total',
    'Attempts to call the upstream; calls for tokens are not among them.',
    ['endpoint', 'outcome'],
  );
  const callSeconds = histogram(
    'upstream_call_duration_seconds',
    'Attempts to call the upstream, from connecting to the end of the answer.',
    callBuckets,
    ['endpoint'],
  );
  const waits = histogram('upstream_wait_seconds', 'How long calls waited for the rate limit.', waitBuckets, [
    'priority',
  ]);
  const refreshes = counter('token_refreshes_total', 'Renewals of token pairs that this process sent.', [
    'outcome',
  ]);
  const pings = counter('webhook_pings_total', 'Notifications that came for webhooks.', ['outcome']);
  const changes = counter('changes_appended_total', 'Entries that this process added to the change log.', [
    'kind',
  ]);
  const deliveries = counter('trigger_deliveries_total', 'Attempts of this process to make a delivery.', [
    'outcome',
  ]);
  const alerts = counter('alerts_total', 'Alerts on unusual activity that this process raised.', ['kind']);

  return {
    operations: byValue(values.type, (type) =>
      byValue(values.operation, (outcome) => atZero(operations.labels(type, outcome))),
    ),
    operationSeconds: byValue(values.timedType, (type) => fromZero(operationSeconds, { type })),
    calls: byValue(endpoints, (endpoint) =>
      byValue(values.call, (outcome) => atZero(calls.labels(endpoint, outcome))),
    ),
    callSeconds: byValue(endpoints, (endpoint) => fromZero(callSeconds, { endpoint })),
    waits: byValue(values.priority, (priority) => fromZero(waits, { priority })),
    refreshes: byValue(values.refresh, (outcome) => atZero(refreshes.labels(outcome))),
    pings: byValue(values.ping, (outcome) => atZero(pings.labels(outcome))),
    changes: byValue(values.change, (kind) => atZero(changes.labels(kind))),
    changeLag: histogram(
      'change_lag_seconds',
      'From a change upstream to its place in the log, for the oldest of each batch.',
      lagBuckets,
      [],
    ),
    deliveriesQueued: counter('trigger_deliveries_queued_total', 'Deliveries made of changes.', []),
    deliveries: byValue(values.delivery, (outcome) => atZero(deliveries.labels(outcome))),
    deliverySeconds: histogram(
      'trigger_delivery_duration_seconds',
      'Attempts to make a delivery, from connecting to the end of the answer.',
      callBuckets,
      [],
    ),
    alerts: byValue(values.alert, (kind) => atZero(alerts.labels(kind))),
    eventsExecuted: counter(
      'subscription_events_executed_total',
      'Events of subscriptions that were executed, once for all who are told the same.',
      [],
    ),
    eventsSent: counter(
      'subscription_events_sent_total',
      'Events of subscriptions that were sent, each to one subscriber.',
      [],
    ),
    slowSubscribers: counter(
      'slow_subscribers_closed_total',
      'WebSockets and event streams that were closed because their client took nothing for too long.',
      [],
    ),
    wrongKeys: counter('wrong_keys_total', 'API keys and tokens that let nobody in.', []),
  };
}

/** One of something for each value of a label. */
export function byValue<V extends string, Made>(
  all: readonly V[],
  make: (value: V) => Made,
): Record<V, Made> {
  return Object.fromEntries(all.map((value) => [value, make(value)])) as Record<V, Made>;
}

function atZero(counter: Counter.Internal): Counter.Internal {
  counter.inc(0);
  return counter;
}

/** Buckets that nobody has filled yet are shown as well. */
function fromZero<L extends string>(
  histogram: Histogram<L>,
  labels: Record<L, string>,
): Histogram.Internal<L> {
  histogram.zero(labels);
  return histogram.labels(labels);
}
