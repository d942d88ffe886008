import type { Clock } from '../../src/clock.ts';
import { control, type TestApp, type UntypedData } from '../support/app.ts';

export const minute = 60_000;
export const hour = 60 * minute;

/** Time that a test moves. It begins in the middle of an hour, so that a few minutes stay within it. */
export class MovableClock implements Clock {
  #now = Math.floor(Date.now() / hour) * hour + 20 * minute;
  now(): number {
    return this.#now;
  }
  advance(ms: number): void {
    this.#now += ms;
  }
}

export async function activityOf(
  app: Pick<TestApp, 'graphql'>,
  connection: number,
  last?: string,
): Promise<UntypedData> {
  const { data, errors } = await app.graphql(
    `query ($id: Int!, $last: Duration) { connection(id: $id) { ... on CalendlyConnection { activity(last: $last) {
      since until calls errors rateLimited refused refreshes refreshesFailed refreshRacesLost macFailures
      hours { start calls errors rateLimited refused refreshes refreshesFailed refreshRacesLost macFailures }
      alerts { kind count threshold message }
    } } } }`,
    last === undefined ? { id: connection } : { id: connection, last },
  );
  if (errors) throw new Error(JSON.stringify(errors));
  return data.connection.activity;
}

/** What has been raised for a connection, by kind. Counts are judged in the moment in which they are stored. */
export async function alertsOf(app: TestApp, connection: number): Promise<string[]> {
  await app.app.activity.flush();
  const { data } = await app.graphql(
    `query ($connection: Int!) { alerts(connection: $connection) { nodes { kind } } }`,
    { connection },
  );
  return data.alerts.nodes.map(({ kind }: { kind: string }) => kind);
}

/** The next calls below these bases are answered so. */
export async function spoil(app: TestApp, status: number, times: number): Promise<void> {
  await control(app.sandbox.url, 'faults', {
    match: { method: 'GET', path: '/v0/appABC123/**' },
    kind: 'status',
    status,
    times,
  });
}

/** One read of one record, which is one call upstream. */
export async function readOnce(app: TestApp, connection: number): Promise<void> {
  await app.graphql(
    `query ($connection: Int!) { base(connection: $connection, baseId: "appABC123") { table(id: "tblDEF456") { records(first: 1) { nodes { id } } } } }`,
    { connection },
  );
}
