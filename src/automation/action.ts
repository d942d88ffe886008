import type { z } from 'zod';
import type { ChangeLog } from '../changes/change-log.ts';
import type { Feed } from '../changes/feed.ts';
import type { RecordWork } from '../records/record-work.ts';
import { faultsOf, type ActionFault } from './action-errors.ts';
import { inWords, settings } from './settings.ts';

/** What an action works with. */
export interface ActionWork {
  records: RecordWork;
  connectionId: number;
  changeLog: ChangeLog;
  /** The log of a base that the connection may read; null when nothing was ever logged. */
  findFeed(connectionId: number, baseId: string): Promise<Feed | null>;
  /** The action as it was given: what an idempotency key stands for. */
  given: object;
  idempotencyKey: string | null;
}

/** JSON: it goes to the caller as it is. */
export type ActionResult = Readonly<Record<string, unknown>>;

/** An action with its settings read, ready to run. @throws AppError of the records code, ActionRefused, ActionNotConfirmed */
export type ReadyAction = (work: ActionWork) => Promise<ActionResult>;

/** One kind of action. */
export interface Action {
  /** Reads its settings, before anything is known of the base. */
  read(config: unknown): { ready: ReadyAction } | { faults: ActionFault[] };
}

export function action<Shape extends z.ZodRawShape>(
  shape: Shape,
  run: (config: z.output<z.ZodObject<Shape>>, work: ActionWork) => Promise<ActionResult>,
): Action {
  const schema = settings(shape);
  return {
    read(config) {
      const read = schema.safeParse(config, { error: inWords });
      if (!read.success) return { faults: faultsOf(read.error, ['config']) };
      return { ready: (work) => run(read.data, work) };
    },
  };
}
