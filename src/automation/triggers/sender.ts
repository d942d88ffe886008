import { randomUUID } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import { performance } from 'node:perf_hooks';
import type { DataSource } from 'typeorm';
import type { Clock } from '../../clock.ts';
import { AppError } from '../../errors.ts';
import type { Logger } from '../../logger.ts';
import { DeliveryLeases, type ClaimedDelivery, type Outcome } from './delivery-leases.ts';
import type { ActionRuns } from './action-runs.ts';
import type { ActionTemplate } from './action-template.ts';
import type { EndpointClient } from './endpoint-client.ts';
import { retryAfterMs } from './retry-schedule.ts';
import { signedHeaders } from './signature.ts';
import type { Failing, TriggerHealth } from './trigger-health.ts';
import type { TriggerSecrets } from './trigger-secrets.ts';

/** Deliveries under way in one process. */
const maxUnderWay = 50;
const renewIntervalMs = 4_000;
/** How long a stop waits for deliveries under way, in milliseconds; the rest is made again elsewhere. */
const stopGraceMs = 3_000;

export interface SenderDeps {
  database: DataSource;
  client: EndpointClient;
  actions: ActionRuns;
  secrets: TriggerSecrets;
  health: TriggerHealth;
  clock: Clock;
  logger: Logger;
  /** Told of an endpoint that wants no more. */
  onGone: (triggerId: string) => Promise<void>;
  /** Told of each failure of an endpoint with how long it has gone on. */
  onFailure: (delivery: ClaimedDelivery, failing: Failing) => Promise<void>;
  onAttempt: (outcome: 'delivered' | 'failed' | 'parked', durationMs: number) => void;
}

/**
 * Makes deliveries, wherever they were queued. Each is taken by a lease, sent, and stored with what came of it; a process
 * that dies in between leaves a lease that runs out, and the delivery is made again with the same event id. What is told
 * at most twice is never told out of order: see DeliveryLeases.
 */
export class Sender {
  readonly #deps: SenderDeps;
  readonly #leases: DeliveryLeases;
  readonly #holder = randomUUID();
  readonly #underWay = new Map<string, Promise<void>>();
  readonly #closing = new AbortController();
  #renewal: NodeJS.Timeout | undefined;
  #looking: Promise<void> | null = null;
  #lookAgain = false;
  #isStopped = false;

  constructor(deps: SenderDeps) {
    // Every delivery listens to it; Node takes more than ten for a leak.
    setMaxListeners(0, this.#closing.signal);
    this.#deps = deps;
    this.#leases = new DeliveryLeases(deps.database);
  }

  start(): void {
    this.#renewal = setInterval(() => {
      if (this.#underWay.size > 0)
        void this.#leases
          .renew(this.#holder)
          .catch((error: unknown) => this.#deps.logger.debug({ err: error }, 'leases could not be renewed'));
    }, renewIntervalMs);
  }

  /** Takes what is due. Calls while that is under way have it look once more. */
  look(): void {
    if (this.#isStopped) return;
    this.#lookAgain = true;
    this.#looking ??= this.#lookOn().finally(() => (this.#looking = null));
  }

  async close(): Promise<void> {
    const grace = setTimeout(() => this.#closing.abort(), stopGraceMs);
    this.#isStopped = true;
    await this.#looking;
    await Promise.all(this.#underWay.values());
    clearTimeout(grace);
    clearInterval(this.#renewal);
  }

  async #lookOn(): Promise<void> {
    while (this.#lookAgain && !this.#isStopped) {
      this.#lookAgain = false;
      const room = maxUnderWay - this.#underWay.size;
      if (room <= 0) return;
      try {
        const now = new Date(this.#deps.clock.now());
        for (const delivery of await this.#leases.claim(this.#holder, room, now)) this.#begin(delivery);
      } catch (error) {
        this.#deps.logger.warn({ err: error }, 'deliveries could not be taken; it will be tried again');
      }
    }
  }

  #begin(delivery: ClaimedDelivery): void {
    const making = this.#make(delivery)
      .catch((error: unknown) =>
        this.#deps.logger.warn(
          { err: error, trigger: delivery.triggerId, event: delivery.eventId },
          'what came of a delivery could not be stored; it will be made again',
        ),
      )
      .finally(() => {
        this.#underWay.delete(delivery.id);
        this.look();
      });
    this.#underWay.set(delivery.id, making);
  }

  async #make(delivery: ClaimedDelivery): Promise<void> {
    const { clock, health, onGone, onFailure, onAttempt } = this.#deps;
    const made = await (delivery.action ? this.#act(delivery, delivery.action) : this.#send(delivery));
    if (made.error?.code === 'SHUTTING_DOWN') return this.#leases.giveBack(delivery.id, this.#holder);
    const outcome = this.#judge(delivery, made);
    if (!(await this.#leases.finish(delivery.id, this.#holder, outcome))) return;
    onAttempt(metricOf(outcome), made.durationMs);
    // How an action does is for the limits of the upstream to heed.
    if (delivery.action) return;
    const now = new Date(clock.now());
    if (made.error === null) return health.succeeded(delivery.triggerId, now);
    const failing = await health.failed(delivery.triggerId, now);
    if (made.httpStatus === 410) await onGone(delivery.triggerId);
    else await onFailure(delivery, failing);
  }

  async #act(delivery: ClaimedDelivery, action: ActionTemplate): Promise<Made> {
    const startedAt = performance.now();
    const { isRetriable, ...run } = await this.#deps.actions.run(action, delivery, this.#closing.signal);
    const durationMs = Math.round(performance.now() - startedAt);
    return { ...unanswered, durationMs, ...run, isFinal: !isRetriable };
  }

  async #send({ triggerId, eventId, body, endpointUrl }: ClaimedDelivery): Promise<Made> {
    const { client, secrets, database, clock } = this.#deps;
    const startedAt = performance.now();
    try {
      const at = new Date(clock.now());
      const valid = await secrets.valid(database, triggerId, at);
      const headers = signedHeaders({ id: eventId, at, body }, valid);
      const { answer, error, durationMs } = await client.post(
        endpointUrl ?? '',
        { headers, body },
        this.#closing.signal,
      );
      return {
        httpStatus: answer?.status ?? null,
        answer: answer?.excerpt ?? null,
        askedMs: answer?.retryAfterMs ?? null,
        durationMs,
        error,
        ...ofEndpoint,
      };
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      const durationMs = Math.round(performance.now() - startedAt);
      return { ...unanswered, durationMs, error, ...ofEndpoint };
    }
  }

  #judge(delivery: ClaimedDelivery, { askedMs, isFinal, error, ...made }: Made): Outcome {
    const now = this.#deps.clock.now();
    const common = {
      ...made,
      at: new Date(now),
      error: error && { code: error.code, message: error.message },
    };
    if (error === null) return { ...common, status: 'DELIVERED', nextAttemptAt: null };
    const waitMs = retryAfterMs({
      attempts: delivery.attempts + 1,
      triedMs: now - (delivery.firstAttemptAt?.getTime() ?? now),
      askedMs: made.httpStatus === 429 || made.httpStatus === 503 ? askedMs : null,
    });
    if (waitMs === null || isFinal) return { ...common, status: 'PARKED', nextAttemptAt: null };
    return { ...common, status: 'WAITING', nextAttemptAt: new Date(now + waitMs) };
  }
}

/** What came of one attempt. */
interface Made {
  httpStatus: number | null;
  answer: string | null;
  /** As the other side asked. */
  askedMs: number | null;
  durationMs: number;
  error: AppError | null;
  /** Whether trying again would not help, or could do harm. */
  isFinal: boolean;
  /** Of an action: see ActionRun. */
  isOpen: boolean;
  isKeyUsedUp: boolean;
}

const ofEndpoint = { isFinal: false, isOpen: false, isKeyUsedUp: false };

const unanswered = { httpStatus: null, answer: null, askedMs: null };

function metricOf({ status }: Outcome): 'delivered' | 'failed' | 'parked' {
  if (status === 'DELIVERED') return 'delivered';
  return status === 'PARKED' ? 'parked' : 'failed';
}
