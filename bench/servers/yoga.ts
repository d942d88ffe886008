import { createYoga } from 'graphql-yoga';
import { createPeerSchema } from './peer-schema.ts';
import { listenOn, serve } from './serve.ts';

/** Yoga as it comes. */
serve(async (setup) => {
  const yoga = createYoga({ schema: createPeerSchema(setup) });
  return {
    url: `${await listenOn((request, response) => void yoga(request, response))}/graphql`,
    headers: {},
  };
});
