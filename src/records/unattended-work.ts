import { Caller } from '../access/caller.ts';
import type { BaseSchemas } from '../bases/base-schemas.ts';
import { OperationSchemas } from '../bases/operation-schemas.ts';
import { PendingWork } from '../bases/pending-work.ts';
import { CallMeter } from '../calendly/operation.ts';
import type { AppError } from '../errors.ts';
import { RecordWork, type RecordServices } from './record-work.ts';

/** Who writes by itself, and what it may take. */
export interface UnattendedWriter {
  /** Tells writes and calls of one such writer from those of others, such as `trigger:` and its id. */
  id: string;
  /** It reaches this base, which whoever made it was allowed to name, and nothing else. */
  connectionId: number;
  baseId: string;
  /** Longest that the work may take, waits for the rate limit included, in milliseconds. */
  deadlineMs: number;
  signal: AbortSignal;
  /** Says what people may read of a failure that is none of ours to foresee, and logs it. */
  explain: (error: unknown) => AppError;
}

/** Work with records that nobody waits for, behind people in the line for the upstream: of triggers and syncs. */
export function unattendedWork(
  { services, schemas }: { services: RecordServices; schemas: BaseSchemas },
  { id, connectionId, baseId, deadlineMs, signal, explain }: UnattendedWriter,
): RecordWork {
  const { clock } = services;
  const operation = {
    callerId: id,
    priority: 'background' as const,
    deadline: clock.now() + deadlineMs,
    signal,
    meter: new CallMeter(),
  };
  const reach = { connectionIds: [connectionId], baseIds: [baseId] };
  return new RecordWork({
    operation,
    caller: new Caller({ id, name: id, role: 'editor', ...reach, expiresAt: null }),
    services,
    schemas: new OperationSchemas({ shared: schemas, operation, clock }),
    pending: new PendingWork(),
    explain,
  });
}
