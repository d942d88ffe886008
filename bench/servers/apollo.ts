import { ApolloServer } from '@apollo/server';
import { startStandaloneServer } from '@apollo/server/standalone';
import { createPeerSchema } from './peer-schema.ts';
import { serve } from './serve.ts';

/** Apollo Server as it comes. */
serve(async (setup) => {
  const server = new ApolloServer({ schema: createPeerSchema(setup) });
  const { url } = await startStandaloneServer(server, { listen: { port: 0, host: '127.0.0.1' } });
  return { url, headers: {} };
});
