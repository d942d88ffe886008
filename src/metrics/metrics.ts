import { collectDefaultMetrics, Registry } from 'prom-client';
import { declare, endpoints, type Value } from './declared.ts';
import { declareGauges, type Gauges } from './gauges.ts';

const endpointNames = new Map(endpoints.map((endpoint) => [endpoint.replaceAll('_', ' '), endpoint]));

/** What this process counts and measures, and the text in which a scraper reads it. */
export class Metrics {
  readonly #registry = new Registry();
  readonly #declared = declare(this.#registry);
  readonly #gauges: Partial<Gauges> = { subscriptions: () => this.#subscriptionsOpen };
  #subscriptionsOpen = 0;

  constructor() {
    collectDefaultMetrics({ register: this.#registry });
    declareGauges(this.#registry, this.#gauges);
  }

  /** Says where a gauge is read; until then it is zero. */
  watch(gauges: Partial<Gauges>): void {
    Object.assign(this.#gauges, gauges);
  }

  operationDone(type: Value<'timedType'>, hasErrors: boolean, ms: number): void {
    this.#declared.operations[type][hasErrors ? 'errors' : 'ok'].inc();
    this.#declared.operationSeconds[type].observe(ms / 1_000);
  }

  /** @returns to be called when the subscription ends; more than once does no harm */
  subscriptionOpened(): () => void {
    this.#declared.operations.subscription.ok.inc();
    this.#subscriptionsOpen += 1;
    let isOpen = true;
    return () => {
      if (isOpen) this.#subscriptionsOpen -= 1;
      isOpen = false;
    };
  }

  subscriptionRefused(): void {
    this.#declared.operations.subscription.errors.inc();
  }

  eventsExecuted(count: number): void {
    this.#declared.eventsExecuted.inc(count);
  }

  eventSent(): void {
    this.#declared.eventsSent.inc();
  }

  slowSubscriberClosed(): void {
    this.#declared.slowSubscribers.inc();
  }

  /** @param attempt `call` as it names itself: "list records". */
  upstreamAttempt(attempt: {
    call: string;
    outcome: Value<'call'>;
    priority: Value<'priority'>;
    waitedMs: number;
    durationMs: number;
  }): void {
    const endpoint = endpointNames.get(attempt.call.toLowerCase()) ?? 'other';
    this.#declared.calls[endpoint][attempt.outcome].inc();
    this.#declared.callSeconds[endpoint].observe(attempt.durationMs / 1_000);
    this.#declared.waits[attempt.priority].observe(attempt.waitedMs / 1_000);
  }

  tokenRefresh(outcome: Value<'refresh'>): void {
    this.#declared.refreshes[outcome].inc();
  }

  ping(outcome: Value<'ping'>): void {
    this.#declared.pings[outcome].inc();
  }

  /** Their lag goes by two clocks, the upstream's and ours, so it may come out below zero and is then taken for none. */
  changesAppended(entries: readonly { kind: Value<'change'>; occurredAt: Date }[], now: number): void {
    let oldest = now;
    for (const { kind, occurredAt } of entries) {
      this.#declared.changes[kind].inc();
      oldest = Math.min(oldest, occurredAt.getTime());
    }
    this.#declared.changeLag.observe((now - oldest) / 1_000);
  }

  deliveriesQueued(count: number): void {
    this.#declared.deliveriesQueued.inc(count);
  }

  deliveryAttempt(outcome: Value<'delivery'>, durationMs: number): void {
    this.#declared.deliveries[outcome].inc();
    this.#declared.deliverySeconds.observe(durationMs / 1_000);
  }

  alertRaised(kind: Value<'alert'>): void {
    this.#declared.alerts[kind].inc();
  }

  wrongKey(): void {
    this.#declared.wrongKeys.inc();
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** Prometheus' text format. */
  text(): Promise<string> {
    return this.#registry.metrics();
  }

  close(): void {
    this.#registry.clear();
  }
}
