import type { ConnectionEntity } from './connection.entity.ts';
import { missingScopes } from './scopes.ts';

export const connectionActions = {
  CONNECT: 'Grant access for the first time: connectConnection.',
  RECONNECT: 'Grant access again: connectConnection.',
  DISCONNECT: 'Give up the grant: disconnectConnection.',
  TEST: 'Ask the service whether the tokens work: testConnection.',
  UPDATE_CREDENTIALS: 'Enter the client id or secret again: updateConnection.',
} as const;

export type ConnectionAction = keyof typeof connectionActions;

/** What a settings page should offer in each state. Credentials that a file manages are not entered on a page. */
export function availableActions({
  state,
  requestedScopes,
  grantedScopes,
  managedByFile,
}: ConnectionEntity): ConnectionAction[] {
  switch (state) {
    case 'configured':
      return ['CONNECT'];
    case 'connected':
      return missingScopes(requestedScopes, grantedScopes).length > 0
        ? ['TEST', 'DISCONNECT', 'RECONNECT']
        : ['TEST', 'DISCONNECT'];
    case 'disconnected':
      return ['RECONNECT'];
    case 'error':
      return managedByFile ? ['RECONNECT', 'DISCONNECT'] : ['UPDATE_CREDENTIALS', 'RECONNECT', 'DISCONNECT'];
  }
}
