/** What each scope lets an integration do, in the words of the consent page. Enterprise scopes are left out. */
export const SCOPE_MEANINGS: Readonly<Record<string, string>> = {
  'data.records:read': 'See the data in records',
  'data.records:write': 'Create, edit and delete records',
  'data.recordComments:read': 'See comments on records',
  'data.recordComments:write': 'Create, edit and delete comments on records',
  'schema.bases:read': 'See the structure of a base: its tables, fields and views',
  'schema.bases:write': 'Change the structure of a base: its tables and fields',
  'webhook:manage': 'Watch a base and be told when it changes',
  'user.email:read': 'See your email address',
  'workspacesAndBases:read': 'See workspaces, collaborators, interfaces and views',
  'block:manage': 'Manage custom extensions',
};

export const USER_SCOPES: readonly string[] = Object.keys(SCOPE_MEANINGS);
