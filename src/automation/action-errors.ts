import type { ZodError } from 'zod';
import { AppError } from '../errors.ts';
import type { WriteResult, WriteStatus } from '../records/writes/write-result.ts';

/** One thing that is wrong with an action as it is stored. */
export interface ActionFault {
  /** From the action inwards, such as `config`, `fields`, `Status`. */
  path: string[];
  message: string;
}

/** Faults that one answer lists. */
export const maxActionFaults = 100;

/** An action that cannot be meant as it stands. All faults that can be found together are told together. */
export class ActionRefused extends AppError {
  readonly faults: readonly ActionFault[];

  constructor(faults: readonly ActionFault[]) {
    const told = faults.slice(0, maxActionFaults);
    super('INVALID_INPUT', told.map(({ message }) => message).join('. '));
    this.faults = told;
  }
}

/** A write of an action that the upstream did not confirm. `code` and `message` tell why. */
export class ActionNotConfirmed extends AppError {
  readonly status: Exclude<WriteStatus, 'WRITTEN'>;
  readonly recordId: string | null;

  constructor(
    { recordId, error }: WriteResult | Omit<WriteResult, 'record'>,
    status: Exclude<WriteStatus, 'WRITTEN'>,
  ) {
    super(error?.code ?? 'INTERNAL', error?.message ?? 'The write came to nothing.', {
      ...(error ? { details: error.details, cause: error } : {}),
    });
    this.status = status;
    this.recordId = recordId;
  }
}

/** What zod refused of the part of an action at `path`. Its messages begin with a verb. */
export function faultsOf(error: ZodError, path: readonly string[]): ActionFault[] {
  return error.issues.map((issue) => {
    const steps = [...path, ...issue.path.map(shortened)];
    return { path: steps, message: `"${placeOf(steps)}" ${issue.message}` };
  });
}

function shortened(step: PropertyKey): string {
  return String(step).slice(0, 100);
}

/** As it is written in code: `config.sort[0].field`. */
function placeOf(steps: readonly string[]): string {
  return steps
    .map((step, index) => (/^\d+$/.test(step) ? `[${step}]` : index === 0 ? step : `.${step}`))
    .join('');
}
