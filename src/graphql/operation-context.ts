import type { Caller } from '../access/caller.ts';
import type { App } from '../app.ts';
import { CallMeter, type Operation } from '../calendly/operation.ts';
import { AppError } from '../errors.ts';
import type { GraphQLContext } from './context.ts';

/** How long an operation may take, in milliseconds; `X-Deadline-Ms` shortens it. */
export const deadlines = { read: 30_000, write: 240_000 } as const;

export interface OperationWishes {
  deadlineMs: number | null;
  maxCalls: number | null;
}

/** @throws AppError BAD_REQUEST for a header that is not a positive whole number. */
export function readWishes(header: (name: string) => string | null | undefined): OperationWishes {
  return {
    deadlineMs: positive('X-Deadline-Ms', header('x-deadline-ms')),
    maxCalls: positive('X-Upstream-Max-Calls', header('x-upstream-max-calls'), true),
  };
}

/** @param client Tells by its signal when nobody waits for the answer any more; it is asked where something waits. */
export function createOperation(
  app: App,
  caller: Caller,
  wishes: OperationWishes,
  client: { readonly signal?: AbortSignal | undefined },
): Operation {
  return {
    callerId: caller.id,
    priority: 'person',
    deadline: app.clock.now() + allowedMs('read', wishes),
    get signal() {
      return client.signal;
    },
    meter: new CallMeter(wishes.maxCalls ?? undefined),
  };
}

/** Writes are sent in tens, so a long one may take longer than any read. Called before a mutation is executed. */
export function allowTimeForWrites({ app, operation, wishes }: GraphQLContext): void {
  operation.deadline = app.clock.now() + allowedMs('write', wishes);
}

function allowedMs(kind: keyof typeof deadlines, wishes: OperationWishes): number {
  return Math.min(deadlines[kind], wishes.deadlineMs ?? deadlines[kind]);
}

/** What the operation cost, for `extensions.upstream` of the answer. */
export function upstreamCost({ operation: { meter } }: GraphQLContext) {
  return {
    calls: meter.calls,
    waitedMs: Math.round(meter.waitedMs),
    retries: meter.retries,
    fromCache: meter.fromCache,
  };
}

function positive(name: string, text: string | null | undefined, zeroAllowed = false): number | null {
  if (text === null || text === undefined || text === '') return null;
  if (/^\d{1,9}$/.test(text) && (zeroAllowed || Number(text) > 0)) return Number(text);
  throw new AppError('BAD_REQUEST', `The header ${name} must be a whole number.`);
}
