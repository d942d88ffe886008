import { Agent, request } from 'undici';
import { contentMac } from './signature.ts';
import type { WebhookDoc } from './webhook.ts';

export interface DeliveryOutcome {
  /** Null if the receiver answered 200 or 204 in time. */
  error: string | null;
  durationMs: number;
}

/** An answer is to be empty; more than this is not read. */
const MAX_ANSWER_BYTES = 65_536;

/** Posts pings. One connection pool for all receivers. */
export class PingDelivery {
  readonly #agent = new Agent({ connections: 16, keepAliveTimeout: 4_000 });

  /** One try. Never rejects: any failure is an outcome. `timeoutMs` covers the whole exchange. */
  async send(
    webhook: WebhookDoc,
    url: string,
    timestamp: string,
    timeoutMs: number,
  ): Promise<DeliveryOutcome> {
    const body = pingBody(webhook, timestamp);
    const startedAt = performance.now();
    const timeout = AbortSignal.timeout(timeoutMs);
    let error: string | null;
    try {
      const answer = await request(url, {
        method: 'POST',
        dispatcher: this.#agent,
        signal: timeout,
        headers: {
          'content-type': 'application/json',
          'x-airtable-content-mac': contentMac(webhook.macSecretBase64, body),
        },
        body,
      });
      await answer.body.dump({ limit: MAX_ANSWER_BYTES });
      const succeeded = answer.statusCode === 200 || answer.statusCode === 204;
      error = succeeded
        ? null
        : `The HTTP request returned a ${answer.statusCode} status code instead of 200 or 204`;
    } catch {
      error = timeout.aborted
        ? 'The HTTP request timed out'
        : 'The HTTP request failed: no connection, or it broke off';
    }
    return { error, durationMs: Math.round((performance.now() - startedAt) * 10) / 10 };
  }

  /** Cuts off what is under way. */
  close(): Promise<void> {
    return this.#agent.destroy();
  }
}

/** Compact JSON, as the upstream's own sample expects it to be. */
export function pingBody({ id, baseId }: Pick<WebhookDoc, 'id' | 'baseId'>, timestamp: string): string {
  return JSON.stringify({ base: { id: baseId }, webhook: { id }, timestamp });
}
