import { AppError } from '../errors.ts';
import type { ConnectionState } from './connection.entity.ts';

const nextStep: Record<ConnectionState, string> = {
  configured: 'Run connectConnection and open the link it gives.',
  disconnected: 'Run connectConnection and open the link it gives.',
  error: 'Read its problem, mend the cause, then run connectConnection.',
  connected: 'Try again.',
};

export function notConnected(connectionId: number, state: ConnectionState, problem: string | null): AppError {
  return new AppError(
    'CONNECTION_NOT_CONNECTED',
    `Connection ${connectionId} is ${state}${problem ? ` (${problem})` : ''}, not connected. ${nextStep[state]}`,
    {
      details: { connectionId, state: state.toUpperCase(), problem },
    },
  );
}
