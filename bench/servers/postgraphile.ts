import { createServer, type Server } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { serve } from './serve.ts';

/** As much of PostGraphile as is used here. */
interface PostGraphile {
  postgraphile(preset: object): { createServ(kind: unknown): { addTo(server: Server): Promise<void> } };
}

/** Installed apart, see bench/postgraphile/package.json. */
const require = createRequire(new URL('../postgraphile/package.json', import.meta.url));
const from = <Exports>(path: string): Exports => require(`postgraphile${path}`) as Exports;

/** PostGraphile as it comes, over the schema with the typed table, which has no index for the order. */
serve(async ({ databaseUrl }) => {
  const { postgraphile } = from<PostGraphile>('');
  const { PostGraphileAmberPreset } = from<{ PostGraphileAmberPreset: object }>('/presets/amber');
  const { makePgService } = from<{ makePgService(options: object): object }>('/adaptors/pg');
  const { grafserv } = from<{ grafserv: unknown }>('/grafserv/node');
  const served = postgraphile({
    extends: [PostGraphileAmberPreset],
    disablePlugins: ['PgIndexBehaviorsPlugin'],
    pgServices: [makePgService({ connectionString: databaseUrl, schemas: ['calendly'] })],
    grafserv: { graphqlPath: '/graphql', graphiql: false, watch: false },
  }).createServ(grafserv);
  const server = createServer();
  await served.addTo(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/graphql`, headers: {} };
});
