import { CallMeter } from '../calendly/operation.ts';
import type { Clock } from '../clock.ts';
import type { Connections } from './connections.ts';
import type { Upstream } from './upstream.ts';

/** How long reading the account behind a new grant may take, in milliseconds. */
const deadlineMs = 10_000;

/** Keeps who granted a connection its access, as the upstream names them. @throws what an upstream call throws */
export async function keepGrantAccount(
  connectionId: number,
  deps: { connections: Connections; upstream: Upstream; clock: Clock },
): Promise<void> {
  const { connections, upstream, clock } = deps;
  const api = await upstream.api(connectionId, {
    callerId: 'server',
    priority: 'person',
    deadline: clock.now() + deadlineMs,
    meter: new CallMeter(),
  });
  const connection = await connections.get(connectionId);
  await connections.recordIdentity(connection, await api.whoAmI());
}
