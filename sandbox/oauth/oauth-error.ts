/** Error codes of the authorization and token endpoints. `conflict` is ours: the code of the 409 is not documented. */
export type OAuthErrorCode =
  | 'invalid_request'
  | 'invalid_client'
  | 'invalid_grant'
  | 'invalid_scope'
  | 'unsupported_grant_type'
  | 'unsupported_response_type'
  | 'access_denied'
  | 'conflict';

/** A refusal in the shape of RFC 6749, section 5.2: 401 for invalid_client, 400 for the others. */
export class OAuthError extends Error {
  constructor(
    readonly code: OAuthErrorCode,
    readonly description: string,
    readonly status = code === 'invalid_client' ? 401 : 400,
  ) {
    super(`${code}: ${description}`);
    this.name = 'OAuthError';
  }
}
