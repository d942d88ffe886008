import { connectionId } from './connection-input.ts';

/** Options of every argument and input field that names a connection, so that all refuse alike what can be none. */
export const connectionArgument = {
  required: true,
  description: 'The number of the connection.',
  validate: { schema: connectionId },
} as const;
