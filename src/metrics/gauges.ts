import { Gauge, type Registry } from 'prom-client';
import { byValue, prefix } from './declared.ts';

const connectionStates = ['configured', 'connected', 'disconnected', 'error'] as const;

/** What is looked up when somebody scrapes. */
export interface Gauges {
  upstreamQueue: () => number;
  websockets: () => number;
  subscriptions: () => number;
  pool: () => { busy: number; idle: number; waiting: number };
  connectionStates: () => Promise<ReadonlyMap<string, number>>;
}

/** Gauges are zero until `gauges` says where they are read. */
export function declareGauges(registry: Registry, gauges: Partial<Gauges>): void {
  const gauge = gaugesOf(registry);
  gauge('upstream_queue_length', 'Calls that wait for the rate limit in this process.', () =>
    gauges.upstreamQueue?.(),
  );
  gauge('websockets_open', 'Open WebSockets.', () => gauges.websockets?.());
  gauge('subscriptions_open', 'Running subscriptions, over WebSockets and as server-sent events.', () =>
    gauges.subscriptions?.(),
  );
  gauge(
    'database_waiting',
    'Statements that wait for a connection to the database.',
    () => gauges.pool?.().waiting,
  );
  gauge.byState('database_connections', 'Connections to the database that this process holds.', () => {
    const { busy = 0, idle = 0 } = gauges.pool?.() ?? {};
    return { busy, idle };
  });
  gauge.byState(
    'connections',
    'Connections by state, the same on every instance; missing while the database is away.',
    async () => {
      const counts = await gauges.connectionStates?.();
      return byValue(connectionStates, (state) => counts?.get(state) ?? 0);
    },
  );
}

function gaugesOf(registry: Registry) {
  const registers = [registry];
  const plain = (name: string, help: string, read: () => number | undefined): void => {
    const gauge: Gauge = new Gauge({
      name: prefix + name,
      help,
      registers,
      collect: () => gauge.set(read() ?? 0),
    });
  };
  type States = Record<string, number>;
  const byState = (name: string, help: string, read: () => States | Promise<States>): void => {
    const gauge: Gauge<'state'> = new Gauge({
      name: prefix + name,
      help,
      labelNames: ['state'],
      registers,
      // A scrape answers in any case: what can't be read now is left out of it.
      async collect() {
        gauge.reset();
        const states = await Promise.resolve()
          .then(read)
          .catch(() => ({}));
        for (const [state, count] of Object.entries(states)) gauge.set({ state }, count);
      },
    });
  };
  return Object.assign(plain, { byState });
}
