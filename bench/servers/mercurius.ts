import { fastify } from 'fastify';
import mercurius from 'mercurius';
import { createPeerSchema } from './peer-schema.ts';
import { serve } from './serve.ts';

/** mercurius as it comes, with its JIT for every document from its second use on. */
serve(async (setup) => {
  const app = fastify();
  await app.register(mercurius, { schema: createPeerSchema(setup), jit: 1 });
  return { url: `${await app.listen({ port: 0, host: '127.0.0.1' })}/graphql`, headers: {} };
});
