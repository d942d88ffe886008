/** @type {import('jest').Config} */
export default {
  testEnvironment: 'node',
  testMatch: ['<rootDir>/test/**/*.test.ts'],
  // Node loads what is tested, through tsx, as it does in production.
  testRunner: '<rootDir>/test/support/runner/test-runner.mts',
  transform: {},
  globalSetup: '<rootDir>/test/support/global-setup.ts',
  globalTeardown: '<rootDir>/test/support/global-teardown.ts',
  // Two more than the cores of a small machine: many tests wait for processes and clocks.
  maxWorkers: 4,
  testTimeout: 30_000,
};
