import { setTimeout } from 'node:timers/promises';
import { Webhook } from 'standardwebhooks';
import { Agent } from 'undici';
import { moment } from '../moment.ts';
import { answer } from './answers.ts';
import { serve } from './serve.ts';

/** What is to be posted, and how: one every so often, or as many at a time. */
export interface Posts {
  url: string;
  secret: string;
  messages: { id: string; body: string }[];
  pace: { everyMs: number } | { atATime: number };
}

/** As many sockets to one endpoint as ours opens. */
const agent = new Agent({ connections: 10, pipelining: 1 });

/** Signs and posts, and nothing else: no queue, no database, nothing that outlives it. @returns when each was begun */
async function post({ url, secret, messages, pace }: Posts): Promise<number[]> {
  const { origin, pathname } = new URL(url);
  const webhook = new Webhook(secret);
  const begun: number[] = [];
  const send = async ({ id, body }: Posts['messages'][number], index: number): Promise<void> => {
    begun[index] = moment();
    const now = new Date();
    const headers = {
      'content-type': 'application/json',
      'webhook-id': id,
      'webhook-timestamp': String(Math.floor(now.getTime() / 1_000)),
      'webhook-signature': webhook.sign(id, now, body),
    };
    const { statusCode, body: rest } = await agent.request({
      origin,
      path: pathname,
      method: 'POST',
      headers,
      body,
    });
    await rest.dump();
    if (statusCode !== 204) throw new Error(`The receiver answered ${statusCode}`);
  };
  if ('everyMs' in pace) {
    const startedAt = moment();
    const sending: Promise<void>[] = [];
    for (const [index, message] of messages.entries()) {
      await setTimeout(Math.max(0, startedAt + index * pace.everyMs - moment()));
      sending.push(send(message, index));
    }
    await Promise.all(sending);
    return begun;
  }
  const queue = messages.entries();
  const lane = async (): Promise<void> => {
    for (const [index, message] of queue) await send(message, index);
  };
  await Promise.all(Array.from({ length: pace.atATime }, lane));
  return begun;
}

serve(() => Promise.resolve({ url: '', headers: {} }));
answer({ post: (given) => post(given as Posts) });
