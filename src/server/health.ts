import type { App } from '../app.ts';
import { json, type Route } from './reply.ts';

/** A database that has not answered by then counts as gone. */
const probeTimeoutMs = 800;

/** The process runs; nothing else is asked. */
export const live: Route = () => json(200, { status: 'live' });

/** Whether requests can be served: the database answers, and we are not shutting down. */
export function ready(app: App): Route {
  return async () => {
    if (app.isClosing()) return json(503, { status: 'closing' });
    const probe = app.database.query('SELECT 1').then(
      () => true,
      () => false,
    );
    const answered = await Promise.race([
      probe,
      new Promise<boolean>((resolve) => setTimeout(resolve, probeTimeoutMs, false).unref()),
    ]);
    return answered ? json(200, { status: 'ready' }) : json(503, { status: 'database unavailable' });
  };
}
