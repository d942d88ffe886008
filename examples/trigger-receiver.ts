import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { Webhook } from 'standardwebhooks';

/** Takes what a trigger delivers, and nothing else. How it is set up is said in examples/README.md. */
const webhook = new Webhook(process.env.TRIGGER_SECRET ?? ''); // whsec_…, as createTrigger gave it
const port = Number(process.env.PORT ?? 4200);
const maxBytes = 1_048_576; // A delivery has at most 256 KiB.
const maxRemembered = 100_000;

/** Oldest first. In earnest it belongs where your work is kept, in the same transaction. */
const seen = new Set<string>();

interface Event {
  type: string;
  timestamp: string;
  data: { recordId?: string; changes?: { name: string; current: unknown }[] };
}

async function take(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    if ((bytes += chunk.length) > maxBytes) return void request.destroy();
    chunks.push(chunk);
  }
  let event: Event;
  try {
    // The very bytes that came: JSON that was parsed and written again has another signature.
    event = webhook.verify(
      Buffer.concat(chunks).toString(),
      request.headers as Record<string, string>,
    ) as Event;
  } catch {
    console.log('REFUSED');
    return void response.writeHead(401).end();
  }
  const id = String(request.headers['webhook-id']);
  const isNew = !seen.has(id);
  seen.add(id);
  if (seen.size > maxRemembered) seen.delete(seen.values().next().value!);
  response.writeHead(204).end(); // At once: the work comes afterwards.
  if (isNew) work(event);
}

function work({ type, data: { recordId, changes = [] } }: Event): void {
  console.log(
    type,
    recordId ?? '',
    changes.map(({ name, current }) => `${name}=${JSON.stringify(current)}`).join(' '),
  );
}

createServer((request, response) => void take(request, response).catch(() => response.destroy())).listen(
  port,
  () => console.log(`LISTENING ${port}`),
);
