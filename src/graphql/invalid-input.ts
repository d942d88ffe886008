import type { ZodError } from 'zod';
import { AppError } from '../errors.ts';

/** One fault of the input: where it is and what is wrong with it. */
export interface InputFault {
  path: string[];
  message: string;
}

/** Input that zod refused. All faults are told at once. */
export class InvalidInput extends AppError {
  readonly faults: InputFault[];

  constructor(faults: InputFault[]) {
    super('INVALID_INPUT', faults.map((fault) => fault.message).join('. '));
    this.name = 'InvalidInput';
    this.faults = faults;
  }

  static fromZod(error: ZodError): InvalidInput {
    return new InvalidInput(
      error.issues.map((issue) => ({
        path: issue.path.map(String).filter((step, index) => !(index === 0 && step === 'input')),
        message: issue.message,
      })),
    );
  }
}
