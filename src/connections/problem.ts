/** Why a connection is in the state `error`, each with what the user should do. Listed in docs/connection-states.md. */
export const problems = {
  ACCESS_DENIED: 'The permissions were not granted. Connect again and choose Grant.',
  INVALID_CLIENT:
    'The client ID or client secret was not accepted. Check both in the Developer Hub, update the credentials, then connect again.',
  INVALID_GRANT:
    'The authorization is no longer valid: it expired, was used already, or access was removed at Calendly. Connect again.',
  INVALID_SCOPE:
    'A requested scope is not enabled for this OAuth integration. Enable it in the Developer Hub, then connect again.',
  INVALID_REQUEST:
    'The authorization request was not accepted. Check that the redirect URI registered for the integration is the one shown in the documentation, then connect again.',
  PROVIDER_UNAVAILABLE:
    'Calendly could not be reached or did not answer as expected. Nothing is wrong with the credentials as far as we know. Try again in a few minutes.',
  REFRESH_LOST: 'A token refresh was interrupted and its result is lost. Connect again.',
  SECRET_UNREADABLE:
    'The stored secrets can not be decrypted with the configured keys. Put the missing key back and restart the server; if this stays then, connect again. If the key is lost, enter the credentials again and connect.',
} as const;

export type ProblemCode = keyof typeof problems;
