import type { Bases } from './bases/bases.ts';
import type { Ledger } from './changes/ledger.ts';
import type { Clock } from './clock.ts';
import type { Calls } from './control/calls.ts';
import type { Faults } from './control/faults.ts';
import type { Settings } from './control/settings.ts';
import type { Ids } from './ids.ts';
import type { Grants } from './oauth/grants.ts';
import type { Users } from './oauth/users.ts';
import type { Cells } from './records/cells.ts';
import type { Formulas } from './records/formulas.ts';
import type { Iterators } from './records/iterators.ts';
import type { Records } from './records/records.ts';
import type { State } from './state/state.ts';

/** What the features of one sandbox share. Built once, in sandbox.ts. */
export interface SandboxContext {
  /** Where the sandbox can be reached, such as `http://127.0.0.1:4001`; empty until it listens. */
  origin: string;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly state: State;
  readonly settings: Settings;
  readonly ledger: Ledger;
  readonly bases: Bases;
  readonly records: Records;
  readonly formulas: Formulas;
  readonly cells: Cells;
  readonly iterators: Iterators;
  readonly users: Users;
  readonly grants: Grants;
  readonly calls: Calls;
  readonly faults: Faults;
  /** Puts the first data back: state, settings, faults, counters, ledgers. */
  reset(): void;
}
