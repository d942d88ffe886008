import { createSandbox } from '../../sandbox/sandbox.ts';
import { serve } from './serve.ts';

/** The bundled sandbox with all its records and its real limit: five calls a second and base, then 30 s of refusals. */
serve(async () => {
  const sandbox = await createSandbox({ size: 'full' });
  return { url: sandbox.url, headers: {} };
});
