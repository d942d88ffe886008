import { createSandbox } from '../../sandbox/sandbox.ts';
import { serve } from './serve.ts';

/** The bundled sandbox, small, and as quick as it can: no limit on requests. */
serve(async () => {
  const sandbox = await createSandbox({ size: 'small' });
  const lifted = await fetch(`${sandbox.url}/_control/limits`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ requestsPerSecond: 0 }),
  });
  if (!lifted.ok) throw new Error(`The limit could not be lifted: ${await lifted.text()}`);
  return { url: sandbox.url, headers: {} };
});
