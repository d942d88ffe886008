import type * as Jest from '@jest/globals';

/** What test files may import from `@jest/globals`; of `jest`, what needs no module of Jest's own. */
export type JestGlobals = Pick<
  typeof Jest,
  'afterAll' | 'afterEach' | 'beforeAll' | 'beforeEach' | 'describe' | 'expect' | 'it' | 'test'
> & { jest: Pick<typeof Jest.jest, 'fn' | 'spyOn' | 'restoreAllMocks'> };

export let afterAll: JestGlobals['afterAll'];
export let afterEach: JestGlobals['afterEach'];
export let beforeAll: JestGlobals['beforeAll'];
export let beforeEach: JestGlobals['beforeEach'];
export let describe: JestGlobals['describe'];
export let expect: JestGlobals['expect'];
export let it: JestGlobals['it'];
export let test: JestGlobals['test'];
export let jest: JestGlobals['jest'];

/** Makes them those of the next test file, for everybody who has imported them. */
export function setGlobals(next: JestGlobals): void {
  ({ afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, test, jest } = next);
}
