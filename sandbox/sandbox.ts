import { Bases } from './bases/bases.ts';
import type { SeedBase } from './bases/documents.ts';
import { baseRoutes } from './bases/routes.ts';
import { Ledger } from './changes/ledger.ts';
import { Clock } from './clock.ts';
import type { SandboxContext } from './context.ts';
import { Calls } from './control/calls.ts';
import { Faults } from './control/faults.ts';
import { controlRoutes } from './control/routes.ts';
import { Settings } from './control/settings.ts';
import { countriesBase } from './data/countries.ts';
import { crmBase } from './data/crm.ts';
import { Router } from './http/router.ts';
import { SandboxServer } from './http/server.ts';
import { startPage } from './http/start-page.ts';
import { Ids } from './ids.ts';
import { Grants } from './oauth/grants.ts';
import { oauthRoutes } from './oauth/routes.ts';
import { Users } from './oauth/users.ts';
import { AttachmentLinks, attachmentRoutes } from './records/attachment-links.ts';
import { attachmentUploadRoutes } from './records/attachment-upload.ts';
import { Cells } from './records/cells.ts';
import { commentRoutes } from './records/comment-routes.ts';
import { Formulas } from './records/formulas.ts';
import { Iterators } from './records/iterators.ts';
import { Records } from './records/records.ts';
import { recordRoutes } from './records/routes.ts';
import { State } from './state/state.ts';
import { webhookRoutes } from './webhooks/routes.ts';
import { Webhooks } from './webhooks/webhooks.ts';

export interface SandboxOptions {
  /** 0 or absent: any free port. */
  port?: number;
  /** Address to listen on; default 127.0.0.1. */
  host?: string;
  /** Where the state is kept; absent: in memory only. */
  dataDir?: string;
  /** Of contacts, `small` has some 250 in place of thousands, for tests, and `large` has 50,000. */
  size?: 'full' | 'small' | 'large';
  /** Makes new ids repeatable; only for a sandbox without dataDir, because stored ids would come again. */
  seed?: number;
}

export interface Sandbox {
  url: string;
  port: number;
  context: SandboxContext;
  close(): Promise<void>;
}

/**
 * Builds and starts a sandbox: an imitation of the record service with its data, speaking HTTP. Rejects if the port is
 * taken. The caller closes it.
 */
export async function createSandbox(options: SandboxOptions = {}): Promise<Sandbox> {
  const { port = 0, host = '127.0.0.1', dataDir, size = 'full', seed } = options;
  const clock = new Clock();
  const ids = new Ids(dataDir === undefined ? seed : undefined);
  const state = new State(dataDir);
  const settings = new Settings();
  const ledger = new Ledger(state, clock);
  const bases = new Bases(state);
  const records = new Records(state, bases);
  const formulas = new Formulas(settings);
  const users = new Users(state);
  const links = new AttachmentLinks(state, clock, () => context.origin);
  const cells = new Cells(bases, records, formulas, links, (userId) => users.get(userId), clock);
  const context: SandboxContext = {
    origin: '',
    clock,
    ids,
    state,
    settings,
    ledger,
    bases,
    records,
    formulas,
    cells,
    iterators: new Iterators(clock, ids, settings),
    users,
    grants: new Grants(state, clock, settings),
    calls: new Calls(clock),
    faults: new Faults(),
    reset,
  };
  let seeds: SeedBase[] | undefined;
  const plant = (): void => {
    if (bases.list().length > 0) return;
    // Stored documents are never changed in place, so the same seeds serve every reset.
    seeds ??= [crmBase(size), countriesBase()];
    for (const seed of seeds) records.plant(seed);
  };
  plant();

  const webhooks = new Webhooks(context);
  const router = new Router();
  oauthRoutes(router, context);
  baseRoutes(router, context);
  recordRoutes(router, context);
  commentRoutes(router, context);
  attachmentRoutes(router, links);
  attachmentUploadRoutes(router, context);
  webhookRoutes(router, context, webhooks);
  controlRoutes(router, context, webhooks);
  startPage(router, context);
  const server = new SandboxServer(router, context);

  function reset(): void {
    state.reset();
    settings.reset();
    context.faults.clear();
    context.calls.reset();
    context.iterators.clear();
    ledger.reset();
    webhooks.reset();
    server.reset();
    plant();
  }

  const listeningPort = await server.listen(port, host).catch(async (error: unknown) => {
    await webhooks.close();
    await state.close();
    throw error;
  });
  context.origin = `http://${urlHost(host)}:${listeningPort}`;
  return {
    url: context.origin,
    port: listeningPort,
    context,
    close: async () => {
      await server.close();
      await webhooks.close();
      await state.close();
    },
  };
}

/** An address that a client can use: one that stands for all interfaces is reached by loopback. */
function urlHost(host: string): string {
  if (host === '0.0.0.0' || host === '::') return '127.0.0.1';
  return host.includes(':') ? `[${host}]` : host;
}
