import { afterAll, beforeAll, expect, test } from '@jest/globals';
import getPort from 'get-port';
import { Webhook } from 'standardwebhooks';
import { createTrigger, triggerOf } from '../automation/triggers/operations.ts';
import { until } from '../changes/subscriber.ts';
import { addContacts } from '../changes/upstream-edits.ts';
import { startTestApp, type TestApp } from '../support/app.ts';
import { ExampleProcess } from './example-process.ts';

let app: TestApp;
let receiver: ExampleProcess;
let endpoint: string;
let trigger: { id: string; secret: string };

beforeAll(async () => {
  const port = await getPort();
  endpoint = `http://localhost:${port}/`;
  app = await startTestApp({
    config: { endpoints: { allowedHosts: ['localhost'], requireHttps: false, lookup: null } },
  });
  trigger = await createTrigger(app, { connection: await app.connect(), endpoint });
  receiver = new ExampleProcess('trigger-receiver.ts', {
    TRIGGER_SECRET: trigger.secret,
    PORT: String(port),
  });
  await until(() => receiver.output.includes('LISTENING'));
}, 30_000);

afterAll(async () => {
  await receiver?.stop();
  await app?.close();
});

const lines = (): string[] => receiver.output.trim().split('\n').slice(1);

async function post(id: string, body: string, signature: string): Promise<number> {
  const response = await fetch(endpoint, {
    method: 'POST',
    headers: {
      'webhook-id': id,
      'webhook-timestamp': String(Math.floor(Date.now() / 1_000)),
      'webhook-signature': signature,
    },
    body,
  });
  return response.status;
}

test('the receiver takes a change, once, and nothing that is forged', async () => {
  const [recordId] = await addContacts(app, 1);
  await until(() => lines().length > 0);
  expect(lines()).toEqual([expect.stringContaining(`record.created ${recordId} Name="Contact`)]);
  await until(async () => (await triggerOf(app, trigger.id)).health.waiting === 0);
  const { nodes } = (await triggerOf(app, trigger.id)).deliveries;
  expect(nodes).toMatchObject([{ recordId, status: 'DELIVERED', attempts: 1, httpStatus: 204 }]);

  const { id, event } = nodes[0];
  const body = JSON.stringify(event);
  const signature = new Webhook(trigger.secret).sign(id, new Date(), body);
  expect(await post(id, body, signature)).toBe(204);

  expect(await post('evt_another', body, signature)).toBe(401);
  expect(await post(id, body.replace(recordId!, 'recFORGED00000000'), signature)).toBe(401);
  await until(() => lines().length === 3);
  expect(lines().slice(1)).toEqual(['REFUSED', 'REFUSED']);
});
