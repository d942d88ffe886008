import { createHash } from 'node:crypto';
import type { Collection } from '../state/collection.ts';
import type { State } from '../state/state.ts';
import { listClients } from './clients.ts';

export type SecretKind =
  | 'authorizationCode'
  | 'accessToken'
  | 'refreshToken'
  | 'personalAccessToken'
  | 'webhookMacSecret'
  | 'clientSecret'
  | 'codeVerifier'
  | 'codeChallenge';

export interface IssuedSecret {
  kind: SecretKind;
  value: string;
}

/** Secrets remembered; then the oldest are forgotten. */
const MAX_SECRETS = 100_000;

/** Every secret that was ever handed out or shown to the sandbox, so that a search for leaks knows what to look for. */
export class IssuedSecrets {
  readonly #secrets: Collection<IssuedSecret>;

  constructor(state: State) {
    this.#secrets = state.collection('issuedSecrets');
  }

  record(kind: SecretKind, value: string): void {
    const id = createHash('sha256').update(`${kind}:${value}`).digest('base64url');
    if (this.#secrets.get(id)) return;
    this.#secrets.put(id, { kind, value });
    if (this.#secrets.size <= MAX_SECRETS) return;
    const oldest = this.#secrets.entries().next();
    if (!oldest.done) this.#secrets.delete(oldest.value[0]);
  }

  /** In the order of issue; the secrets of the registered integrations come first. */
  list(): IssuedSecret[] {
    const clientSecrets = listClients().flatMap((client) =>
      client.secret === null ? [] : [{ kind: 'clientSecret' as const, value: client.secret }],
    );
    return [...clientSecrets, ...this.#secrets.values()];
  }
}
