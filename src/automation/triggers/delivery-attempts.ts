import { performance } from 'node:perf_hooks';
import type { Clock } from '../../clock.ts';
import { AppError } from '../../errors.ts';
import type { ActionRuns } from './action-runs.ts';
import type { ActionTemplate } from './action-template.ts';
import type { ClaimedDelivery, Outcome } from './delivery-leases.ts';
import type { EndpointClient } from './endpoint-client.ts';
import { retryAfterMs } from './retry-schedule.ts';
import { signedHeaders } from './signature.ts';
import type { TriggerSecrets } from './trigger-secrets.ts';

export interface DeliveryAttemptsDeps {
  client: EndpointClient;
  actions: ActionRuns;
  secrets: TriggerSecrets;
  clock: Clock;
}

/** Makes one attempt, at an endpoint or an action, and judges what came of it. Stores nothing. */
export class DeliveryAttempts {
  readonly #deps: DeliveryAttemptsDeps;

  constructor(deps: DeliveryAttemptsDeps) {
    this.#deps = deps;
  }

  /** @returns null for one that was not made, since the process stops */
  async make(delivery: ClaimedDelivery, signal: AbortSignal): Promise<Outcome | null> {
    const made = await (delivery.action
      ? this.#act(delivery, delivery.action, signal)
      : this.#send(delivery, signal));
    return made.error?.code === 'SHUTTING_DOWN' ? null : this.#judge(delivery, made);
  }

  async #act(delivery: ClaimedDelivery, action: ActionTemplate, signal: AbortSignal): Promise<Made> {
    const startedAt = performance.now();
    const { isRetriable, ...run } = await this.#deps.actions.run(action, delivery, signal);
    const durationMs = Math.round(performance.now() - startedAt);
    return { ...unanswered, durationMs, ...run, isFinal: !isRetriable };
  }

  async #send(delivery: ClaimedDelivery, signal: AbortSignal): Promise<Made> {
    const { client, secrets, clock } = this.#deps;
    const { triggerId, eventId, body, endpointUrl } = delivery;
    const startedAt = performance.now();
    try {
      const at = new Date(clock.now());
      const headers = signedHeaders({ id: eventId, at, body }, secrets.open(triggerId, delivery, at));
      const { answer, error, durationMs } = await client.post(endpointUrl ?? '', { headers, body }, signal);
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
      failures: delivery.failures + 1,
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
