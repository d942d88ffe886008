import type { SandboxContext } from '../context.ts';
import type { Router } from '../http/router.ts';
import { PERMISSION_LEVELS, type Grant } from '../oauth/grant.ts';
import { USER_SCOPES } from '../oauth/scopes.ts';
import { controlError } from './control-error.ts';
import { readInput, textOf, textsOf } from './control-input.ts';

/** `/_control/issued`, `grants`, `revoke`, `tokens` and `roles`: who got access to what, and how it is taken away. */
export function accessControlRoutes(router: Router, { grants, users }: SandboxContext): void {
  router.add('GET', '/_control/issued', {
    endpoint: 'control',
    handler: () => ({ status: 200, json: { issued: grants.issued.list() } }),
  });
  router.add('GET', '/_control/grants', {
    endpoint: 'control',
    handler: () => ({ status: 200, json: { grants: grants.list() } }),
  });
  router.add('POST', '/_control/grants', {
    endpoint: 'control',
    handler: (request) => {
      const { grantId, baseIds } = readInput(request, ['grantId', 'baseIds']);
      const id = textOf('grantId', grantId);
      if (!grants.setBases(id, readBaseIds(baseIds))) throw controlError('There is no such grant');
      return { status: 200, json: grants.get(id) };
    },
  });
  router.add('POST', '/_control/revoke', {
    endpoint: 'control',
    handler: (request) => {
      const input = readInput(request, ['grantId', 'token', 'clientId']);
      return { status: 200, json: { revoked: revoke(grants, input) } };
    },
  });
  router.add('POST', '/_control/tokens', {
    endpoint: 'control',
    handler: (request) => {
      const input = readInput(request, ['userId', 'scopes', 'baseIds']);
      const { userId = users.list()[0]?.id, scopes = [...USER_SCOPES], baseIds = 'all' } = input;
      const user = users.get(textOf('userId', userId));
      if (!user) throw controlError('There is no such user');
      const token = grants.issuePersonalToken(user.id, textsOf('scopes', scopes), readBaseIds(baseIds));
      return { status: 200, json: { token } };
    },
  });
  router.add('POST', '/_control/roles', {
    endpoint: 'control',
    handler: (request) => {
      const { userId, baseId, role } = readInput(request, ['userId', 'baseId', 'role']);
      const level = PERMISSION_LEVELS.find((known) => known === role);
      if (!level) throw controlError(`role must be one of ${PERMISSION_LEVELS.join(', ')}`);
      const user = users.get(textOf('userId', userId));
      if (!user) throw controlError('There is no such user');
      users.setRole(user.id, textOf('baseId', baseId), level);
      return { status: 200, json: { userId: user.id, baseId, role: level } };
    },
  });
}

/** How many grants (or single access tokens) came to an end. */
function revoke(
  grants: SandboxContext['grants'],
  { grantId, token, clientId }: { grantId?: unknown; token?: unknown; clientId?: unknown },
): number {
  if ([grantId, token, clientId].filter((value) => value !== undefined).length !== 1) {
    throw controlError('Give exactly one of grantId, token, clientId');
  }
  if (grantId !== undefined) return Number(grants.end(textOf('grantId', grantId)));
  if (token !== undefined) return Number(grants.revokeToken(textOf('token', token), null));
  const ended = grants.list().filter((grant) => grant.clientId === clientId);
  for (const grant of ended) grants.end(grant.id);
  return ended.length;
}

function readBaseIds(value: unknown): Grant['baseIds'] {
  return value === 'all' ? 'all' : textsOf('baseIds', value);
}
