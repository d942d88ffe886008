import type { Operation } from '../calendly/operation.ts';
import type { Clock } from '../clock.ts';
import { AppError, type ErrorCode } from '../errors.ts';
import { notConnected } from './not-connected.ts';
import type { ConnectionEntity } from './connection.entity.ts';
import type { Connections } from './connections.ts';
import { problems, type ProblemCode } from './problem.ts';
import type { Upstream } from './upstream.ts';

/** How long a test may take, waits included, in milliseconds: somebody looks at a button. */
const testDeadlineMs = 15_000;

export interface ConnectionTest {
  /** From the question to its answer, in milliseconds, waits and a refresh included. */
  latencyMs: number;
  /** Who granted access, as the upstream says now; null when it did not say. */
  account: { id: string; email: string | null } | null;
  /** Null when the connection works. */
  problem: { code: ProblemCode; message: string } | null;
}

/** Failures of the test that tell about the upstream. All others are failures of the question itself. */
const upstreamFailures: ReadonlySet<ErrorCode> = new Set([
  'UPSTREAM_UNAVAILABLE',
  'UPSTREAM_UNREADABLE',
  'UPSTREAM_REJECTED',
  'UPSTREAM_FORBIDDEN',
  'UPSTREAM_MONTHLY_LIMIT',
  'DEADLINE_EXCEEDED',
  'NOT_FOUND',
]);

/**
 * Asks the upstream who we are, and stores what it says of account and scopes.
 * @throws AppError CONNECTION_NOT_CONNECTED when there was no living grant to test, UPSTREAM_RATE_LIMITED
 */
export async function testConnection(
  connection: ConnectionEntity,
  operation: Operation,
  { upstream, connections, clock }: { upstream: Upstream; connections: Connections; clock: Clock },
): Promise<ConnectionTest> {
  const { id, state } = connection;
  if (state !== 'connected') throw notConnected(id, state, connection.problemCode);
  const deadline = Math.min(operation.deadline, clock.now() + testDeadlineMs);
  const startedAt = performance.now();
  const latencyMs = () => Math.round(performance.now() - startedAt);
  try {
    const who = await (await upstream.api(id, { ...operation, deadline })).whoAmI();
    await connections.recordIdentity(connection, who);
    return { latencyMs: latencyMs(), account: { id: who.id, email: who.email ?? null }, problem: null };
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    return {
      latencyMs: latencyMs(),
      account: null,
      problem: problemBehind(error, await connections.get(id)),
    };
  }
}

function problemBehind(error: AppError, after: ConnectionEntity): NonNullable<ConnectionTest['problem']> {
  if (error.code === 'CONNECTION_NOT_CONNECTED') {
    if (after.state === 'connected') return { code: 'INVALID_GRANT', message: problems.INVALID_GRANT };
    const code = after.problemCode as ProblemCode | null;
    if (after.state === 'error' && code !== null) return { code, message: problems[code] };
  }
  if (upstreamFailures.has(error.code)) return { code: 'PROVIDER_UNAVAILABLE', message: error.message };
  throw error;
}
