import { URL } from 'node:url';

const globals = new URL('./globals.ts', import.meta.url).href;

/**
 * Leads `@jest/globals` to the file that the test runner fills. Plain JavaScript, since Node loads hooks by itself.
 *
 * @type {import('node:module').ResolveHook}
 */
export const resolve = (specifier, context, next) =>
  next(specifier === '@jest/globals' ? globals : specifier, context);
