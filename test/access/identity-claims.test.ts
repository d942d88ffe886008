import { describe, expect, test } from '@jest/globals';
import { callerOfClaims, findClaim } from '../../src/access/identity-claims.ts';
import type { AppError } from '../../src/errors.ts';
import type { IdentityProvider } from '../../src/identity-provider.ts';

const provider: IdentityProvider = {
  issuer: 'https://id.example.com',
  audience: 'omnera',
  jwksUrl: 'https://id.example.com/keys',
  roleClaim: 'role',
  connectionsClaim: null,
  basesClaim: null,
};
const claims = { sub: 'ada', exp: 2_000_000_000, role: 'viewer' };

function refusal(given: Record<string, unknown>, names: Partial<IdentityProvider> = {}): AppError {
  try {
    callerOfClaims({ ...claims, ...given }, { ...provider, ...names });
  } catch (error) {
    return error as AppError;
  }
  throw new Error('It was let in');
}

describe('a claim is found', () => {
  const url = 'https://example.com/role';
  test.each([
    ['by its name', { role: 'a' }, 'role', 'a'],
    ['under a URL', { [url]: 'a' }, url, 'a'],
    ['inside of others', { realm_access: { roles: ['a'] } }, 'realm_access.roles', ['a']],
    ['by the whole name first', { 'a.b': 1, a: { b: 2 } }, 'a.b', 1],
    ['nowhere below a URL', { 'https://example': { 'com/role': 'a' } }, url, undefined],
    ['nowhere in a prototype', {}, 'constructor.name', undefined],
    ['nowhere in a text', { role: 'abc' }, 'role.length', undefined],
    ['nowhere in null', { role: null }, 'role.name', undefined],
  ])('%s', (_how, given, name, value) => {
    expect(findClaim(given, name)).toEqual(value);
  });
});

describe('the role is', () => {
  test.each([
    ['a role', 'editor', 'editor'],
    ['the only one of ours', ['offline_access', 'viewer', 7, null], 'viewer'],
    ['the highest of several', ['viewer', 'admin', 'editor'], 'admin'],
  ])('%s', (_what, role, expected) => {
    expect(callerOfClaims({ ...claims, role }, provider)?.role).toBe(expected);
  });

  test.each([
    [undefined],
    [null],
    ['Admin'],
    ['admin '],
    ['admin,viewer'],
    [['root']],
    [[]],
    [[['admin']]],
    [{ admin: true }],
  ])('none when the claim is %j', (role) => {
    const error = refusal({ role });
    expect(error.code).toBe('FORBIDDEN');
    expect(error.message).toContain('"role"');
  });
});

describe('the reach is', () => {
  const names = { connectionsClaim: 'connections', basesClaim: 'bases' };
  const reach = (connections: unknown, bases: unknown) => {
    const caller = callerOfClaims({ ...claims, connections, bases }, { ...provider, ...names });
    return [caller?.connectionIds, caller?.baseIds];
  };

  test('everything where no claim is configured, whatever the token says', () => {
    const caller = callerOfClaims({ ...claims, connections: [1], bases: ['appABC123'] }, provider);
    expect([caller?.connectionIds, caller?.baseIds]).toEqual([null, null]);
  });

  test.each([
    ['lists', [1, 2, 2], ['appABC123'], [1, 2], ['appABC123']],
    ['texts, as some providers have no numbers', ['1', '2'], 'appABC123', [1, 2], ['appABC123']],
    ['a single number', 7, '*', [7], null],
    ['an asterisk for everything', '*', ['*'], null, null],
    ['nothing, for empty lists', [], [], [], []],
  ])('%s', (_what, connections, bases, connectionIds, baseIds) => {
    expect(reach(connections, bases)).toEqual([connectionIds, baseIds]);
  });

  test.each([
    ['left out', undefined],
    ['null', null],
    ['zero', 0],
    ['a fraction', [1.5]],
    ['too large', [2_147_483_648]],
    ['a text of several', '1,2'],
    ['an object', { 1: true }],
    ['a list within a list', [[1]]],
    ['nearly everything', ['**']],
  ])('refused when the claim is %s', (_what, connections) => {
    const error = refusal({ connections, bases: '*' }, names);
    expect([error.code, error.details]).toEqual(['FORBIDDEN', { claim: 'connections' }]);
    expect(refusal({ connections: '*', bases: connections }, names).details).toEqual({ claim: 'bases' });
  });
});

describe('the person', () => {
  test.each([
    ['name', { name: 'Ada', email: 'ada@example.com' }, 'Ada'],
    ['e-mail address without one', { name: ' ', email: 'ada@example.com' }, 'ada@example.com'],
    ['subject without either', { name: 7 }, 'ada'],
    ['name without what is invisible', { name: '\u202eAda\u0000\n' }, 'Ada'],
    ['beginning of a long name', { name: '😀'.repeat(150) }, '😀'.repeat(100)],
  ])('is shown by %s', (_how, given, name) => {
    expect(callerOfClaims({ ...claims, ...given }, provider)).toMatchObject({ id: 'user:ada', name });
  });

  test.each([[undefined], [7], [''], [' ada'], ['ada '], ['ada\n'], ['адa'], ['a'.repeat(196)]])(
    'is nobody by the subject %j',
    (sub) => {
      expect(callerOfClaims({ ...claims, sub }, provider)).toBeNull();
    },
  );

  test.each(['auth0|64f', 'CN=Ada Lovelace,O=Example', 'a'.repeat(195), 'key:1'])(
    'may have the subject %s',
    (sub) => {
      expect(callerOfClaims({ ...claims, sub }, provider)?.id).toBe(`user:${sub}`);
    },
  );

  test('ends with the token, whose end can be written as a date', () => {
    expect(callerOfClaims(claims, provider)?.expiresAt).toEqual(new Date(2_000_000_000_000));
    expect(callerOfClaims({ ...claims, exp: 1e300 }, provider)?.expiresAt?.toISOString()).toBe(
      '9999-12-31T23:59:59.000Z',
    );
  });
});
