import type { AuditActor } from '../audit/audit-event.ts';
import type { ConnectionEntity } from './connection.entity.ts';
import type { ProblemCode } from './problem.ts';

/** How a flow ended, for the page that the user sees. */
export type FlowOutcome =
  | { kind: 'connected'; connection: ConnectionEntity; startedBy: string; redirectTo: string | null }
  | {
      kind: 'failed';
      connection: ConnectionEntity;
      startedBy: string;
      problem: ProblemCode;
      stillConnected: boolean;
      redirectTo: string | null;
    }
  | { kind: 'superseded'; connection: ConnectionEntity | null }
  | { kind: 'refused'; reason: 'UNKNOWN_STATE' | 'OTHER_BROWSER' | 'STARTER_GONE' | 'WRONG_ISSUER' };

/** As the pages of the flow name who began it. */
export function labelOf({ id, name }: AuditActor): string {
  return `${name} (${id})`;
}

/** As the audit log names it. */
export function codeOf(outcome: FlowOutcome): string {
  switch (outcome.kind) {
    case 'connected':
      return 'ok';
    case 'failed':
      return outcome.problem;
    case 'superseded':
      return 'FLOW_SUPERSEDED';
    case 'refused':
      return outcome.reason;
  }
}
