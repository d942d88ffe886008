import { createHmac } from 'node:crypto';
import { control } from '../support/app.ts';
import type { TestDatabase } from '../support/database.ts';
import { crm } from '../changes/upstream-edits.ts';

/** Sends notifications of the CRM's webhook as the upstream would, at whatever pace and from wherever a test wants. */
export class PingSender {
  readonly #path: string;
  readonly #secret: Buffer;

  private constructor(routeId: string, secret: Buffer) {
    this.#path = `/webhooks/calendly/${routeId}`;
    this.#secret = secret;
  }

  static async of({
    database,
    sandbox,
  }: {
    database: TestDatabase;
    sandbox: { url: string };
  }): Promise<PingSender> {
    const [webhook] = await database.query(`SELECT id FROM webhooks WHERE state = 'active'`);
    const { issued } = await control<{ issued: { kind: string; value: string }[] }>(sandbox.url, 'issued');
    const secret = issued.filter(({ kind }) => kind === 'webhookMacSecret').at(-1);
    if (!webhook || !secret) throw new Error('There is no webhook to send notifications for.');
    return new PingSender(String(webhook.id), Buffer.from(secret.value, 'base64'));
  }

  /** @returns the status of the answer; null when none came. */
  async send(serverUrl: string, { forged = false } = {}): Promise<number | null> {
    const body = JSON.stringify({
      base: { id: crm.baseId },
      webhook: { id: 'ach1' },
      timestamp: new Date().toISOString(),
    });
    const mac = createHmac('sha256', forged ? 'a guess' : this.#secret)
      .update(body)
      .digest('hex');
    try {
      const answer = await fetch(`${serverUrl}${this.#path}`, {
        method: 'POST',
        headers: { 'x-airtable-content-mac': `hmac-sha256=${mac}` },
        body,
      });
      await answer.text();
      return answer.status;
    } catch {
      return null;
    }
  }
}
