import { createRequire, register } from 'node:module';
import { pathToFileURL } from 'node:url';
import { setGlobals, type JestGlobals } from './globals.ts';
import { showWrittenPositions } from './written-positions.ts';

/**
 * Jest's own runner, except that Node loads the modules, as it does in production, once in a worker. Jest would read,
 * compile and evaluate each of the 1,500 modules of the app again for each test file, in a realm of its own: two
 * seconds a file, and an `instanceof` that does not hold for errors of Node's. The app keeps nothing in its modules,
 * so that what a test file needs for itself is made by starting one.
 *
 * Jest takes care of everything else: workers, hooks, limits, reports. Its adapter asks a `runtime` for modules, and
 * is given the few answers below. What belongs to Jest's own loader is not to be had: mocked modules, coverage, watching.
 */
type TestRunner = (
  globalConfig: { watch: boolean; watchAll: boolean; collectCoverage: boolean },
  projectConfig: object,
  environment: { moduleMocker: JestGlobals['jest'] },
  runtime: TestCodeWatch,
  testPath: string,
  sendMessageToJest?: (event: string, args: unknown[]) => Promise<void>,
) => Promise<object>;

interface TestCodeWatch {
  enterTestCode(): void;
  leaveTestCode(): void;
}

const require = createRequire(import.meta.url);
const { default: runInJest } = require('jest-circus/runner') as { default: TestRunner };

// `@jest/globals` of the package refuses to be loaded by Node.
register('./resolve-globals.js', import.meta.url);

const runTestFile: TestRunner = (globalConfig, projectConfig, environment, runtime, testPath, send) => {
  if (globalConfig.watch || globalConfig.watchAll || globalConfig.collectCoverage)
    throw new Error(
      'Test files share their modules, so there is no watching and no coverage: run npm test -- <file> again.',
    );
  // In place of what Jest has set up, which knows nothing of the modules that Node has loaded.
  showWrittenPositions();
  // Handlers of the file before; the adapter adds its own when it is loaded.
  Reflect.deleteProperty(globalThis, Symbol.for('EVENT_HANDLERS'));
  const loader = {
    requireInternalModule(path: string): unknown {
      Reflect.deleteProperty(require.cache, path);
      return require(path);
    },
    requireModule: require,
    unstable_shouldLoadAsEsm: () => true,
    unstable_importModule: (path: string) => import(pathToFileURL(path).href) as Promise<unknown>,
    setGlobalsForRuntime: (globals: Omit<JestGlobals, 'jest'>) =>
      setGlobals({ ...globals, jest: environment.moduleMocker }),
    enterTestCode: () => runtime.enterTestCode(),
    leaveTestCode: () => runtime.leaveTestCode(),
  };
  // Not awaited, so that no stack ends here.
  return runInJest(globalConfig, projectConfig, environment, loader, testPath, send);
};

export default runTestFile;
