/** What the OAuth grant is asked for. Least privilege first; each preset contains the ones before it. */
export const scopePresets = {
  READ_ONLY: ['data.records:read', 'schema.bases:read'],
  READ_WRITE: ['data.records:read', 'schema.bases:read', 'data.records:write'],
  WITH_WEBHOOKS: ['data.records:read', 'schema.bases:read', 'data.records:write', 'webhook:manage'],
} as const;

export type ScopePreset = keyof typeof scopePresets;

/** Lets the account's e-mail address be shown beside the connection; possible with every preset. */
export const emailScope = 'user.email:read';

export function requestedScopes(preset: ScopePreset, withEmail: boolean): string[] {
  return withEmail ? [...scopePresets[preset], emailScope] : [...scopePresets[preset]];
}

/** The scopes to ask for when the preset, the e-mail or both are chosen anew; null keeps the present choice. */
export function changedScopes(
  present: readonly string[],
  preset: ScopePreset | null,
  withEmail: boolean | null,
): string[] {
  const scopes = preset === null ? present.filter((scope) => scope !== emailScope) : scopePresets[preset];
  return (withEmail ?? present.includes(emailScope)) ? [...scopes, emailScope] : [...scopes];
}

export function missingScopes(requested: readonly string[], granted: readonly string[]): string[] {
  return requested.filter((scope) => !granted.includes(scope));
}
