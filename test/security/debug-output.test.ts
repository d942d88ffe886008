import { expect, test } from '@jest/globals';
import { ConfigError, readConfig } from '../../src/config.ts';

test.each([
  'simple-oauth2*',
  'simple-oauth2:client',
  'simple-oauth2:request-options',
  '*',
  'app,*:client',
  'app simple-*',
  '*,-simple-oauth2:client',
])('DEBUG=%s would print secrets: the server refuses to start and names the variable', (value) => {
  expect(() => readConfig({ DEBUG: value })).toThrow(ConfigError);
  expect(() => readConfig({ DEBUG: value })).toThrow(/DEBUG must not cover simple-oauth2/);
});

test.each(['', 'app', 'simple-oauth', 'simple-oauth2', 'simple-oauth2:other', '*,-simple-oauth2*', '-*'])(
  'DEBUG=%s does not',
  (value) => {
    expect(() => readConfig({ DEBUG: value })).not.toThrow();
  },
);
