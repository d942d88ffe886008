import type { Collection } from '../state/collection.ts';
import type { State } from '../state/state.ts';
import type { PermissionLevel, User } from './grant.ts';

interface Membership {
  role: PermissionLevel;
}

/** The people that exist, with the role each has in a base where nothing else was set. The first one is signed in by default. */
const ACCOUNTS: readonly { user: User; role: PermissionLevel }[] = [
  { user: { id: 'usrAdaLovelace001', email: 'ada@example.com', name: 'Ada Lovelace' }, role: 'create' },
  { user: { id: 'usrGraceHopper002', email: 'grace@example.com', name: 'Grace Hopper' }, role: 'edit' },
  { user: { id: 'usrAlanTuring0003', email: 'alan@example.com', name: 'Alan Turing' }, role: 'read' },
];

/** The accounts and what each may do in which base. */
export class Users {
  readonly #memberships: Collection<Membership>;

  constructor(state: State) {
    this.#memberships = state.collection('memberships');
  }

  list(): User[] {
    return ACCOUNTS.map((account) => account.user);
  }

  get(userId: string): User | undefined {
    return ACCOUNTS.find((account) => account.user.id === userId)?.user;
  }

  /** The user's role in that base, `none` for an unknown user. Whether the base exists is not asked here. */
  roleIn(userId: string, baseId: string): PermissionLevel {
    const account = ACCOUNTS.find(({ user }) => user.id === userId);
    if (!account) return 'none';
    return this.#memberships.get(`${userId}/${baseId}`)?.role ?? account.role;
  }

  setRole(userId: string, baseId: string, role: PermissionLevel): void {
    this.#memberships.put(`${userId}/${baseId}`, { role });
  }
}
