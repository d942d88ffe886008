import eslint from '@eslint/js';
import { createNodeResolver, importX } from 'eslint-plugin-import-x';
import typescript from 'typescript-eslint';

/** Everybody may import these. */
const ground = [
  'config.ts',
  'environment.ts',
  'identity-provider.ts',
  'errors.ts',
  'database-failure.ts',
  'logger.ts',
  'clock.ts',
  'closing.ts',
  'repeated-work.ts',
  'turns.ts',
  'nearest-name.ts',
  'gathered-reads.ts',
  'uuid.ts',
  'database/sql.ts',
];

/** Which folder of src may import which others; what is not listed is above it or beside it. */
const mayImport = {
  calendly: [],
  audit: ['calendly'],
  activity: ['calendly'],
  metrics: [],
  encryption: [],
  access: ['calendly', 'audit'],
  connections: ['calendly', 'access', 'audit', 'encryption', 'database/notifications.ts'],
  bases: ['calendly', 'access', 'connections'],
  records: ['calendly', 'access', 'connections', 'bases'],
  changes: [
    'calendly',
    'access',
    'connections',
    'database/notifications.ts',
    'database/prepared.ts',
    'database/early-answer.ts',
  ],
  webhooks: [
    'calendly',
    'access',
    'encryption',
    'connections',
    'bases',
    'changes',
    'database/prepared.ts',
    'database/early-answer.ts',
  ],
  automation: [
    'calendly',
    'audit',
    'encryption',
    'access',
    'connections',
    'bases',
    'records',
    'changes',
    'graphql/list-slice.ts',
  ],
  sync: [
    'calendly',
    'audit',
    'access',
    'connections',
    'bases',
    'records',
    'changes',
    'database/notifications.ts',
    'graphql/list-slice.ts',
  ],
  database: ['calendly', 'audit', 'activity', 'connections', 'changes', 'webhooks'],
  local: ['app.ts', 'database/data-source.ts'],
};

/** Files of a feature that speak GraphQL or HTTP, with what was cut out of a schema because it grew. */
const edges = 'schema|routes|*-fields|operation-records|selected-record';

/** They stand above the app, and join their feature to those that it builds on. */
const edgesMayImport = {
  access: ['audit'],
  audit: ['access', 'connections'],
  activity: ['access', 'connections'],
  connections: ['access', 'audit'],
  bases: ['access', 'connections', 'calendly'],
  records: ['access', 'connections', 'bases', 'calendly'],
  changes: ['access', 'connections', 'bases', 'records', 'calendly'],
  webhooks: ['access', 'connections', 'bases', 'records', 'changes', 'calendly'],
  automation: ['access', 'connections', 'bases', 'records', 'changes', 'calendly'],
  sync: ['access', 'connections', 'bases', 'records', 'changes', 'calendly'],
};

/** The words in which routes answer. */
const replies = ['server/body.ts', 'server/page.ts', 'server/reply.ts'];

const zones = [
  ...Object.entries(mayImport).map(([folder, others]) => ({
    target: `./src/${folder}/**/!(${edges}).ts`,
    from: './src',
    except: [folder, ...others, ...ground],
    message: `src/${folder} may import ${[...others, ...ground].join(', ')}; only its edges (schema.ts, routes.ts) see more.`,
  })),
  ...Object.entries(edgesMayImport).map(([folder, others]) => ({
    target: `./src/${folder}/**/@(${edges}).ts`,
    from: './src',
    except: [folder, ...others, 'app.ts', 'graphql', ...replies, ...ground],
    message: `The edges of src/${folder} may import ${others.join(', ')}, app.ts and graphql.`,
  })),
  { target: './src/app.ts', from: ['./src/graphql', './src/server', './src/local', './src/main.ts'] },
  {
    target: './src/graphql/!(schema|print-schema|node).ts',
    from: './src',
    except: ['graphql', 'app.ts', 'access', 'calendly', 'bases/pending-work.ts', ...ground],
    message: 'Only the list of schemas and the node field know the features.',
  },
  { target: `./src/@(${ground.join('|')})`, from: './src', except: ground },
  {
    target: './src',
    from: ['./src/main.ts', './src/keys.ts', './src/rotate-keys.ts'],
    message:
      'src/main.ts, src/keys.ts and src/rotate-keys.ts are where processes begin; nothing imports them.',
  },
  {
    target: './src',
    from: ['./sandbox', './test'],
    message: 'A mistake that src and sandbox share would hide in both.',
  },
  {
    target: './sandbox',
    from: ['./src', './test'],
    message: 'A mistake that src and sandbox share would hide in both.',
  },
];

export default typescript.config(
  { ignores: ['node_modules/', '.data/', 'coverage/', 'test/support/generated/'] },
  eslint.configs.recommended,
  typescript.configs.recommendedTypeChecked,
  {
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    linterOptions: { reportUnusedDisableDirectives: 'error' },
    plugins: { 'import-x': importX },
    settings: { 'import-x/resolver-next': [createNodeResolver({ extensions: ['.ts', '.js'] })] },
    rules: {
      'import-x/no-restricted-paths': ['error', { basePath: import.meta.dirname, zones }],
      'no-console': 'error',
      eqeqeq: ['error', 'always', { null: 'ignore' }],
      'no-restricted-syntax': [
        'error',
        {
          selector: 'ExportAllDeclaration',
          message: 'Import from the file that defines a thing; no barrel files.',
        },
        {
          selector: 'ExportNamedDeclaration[source]',
          message: 'Import from the file that defines a thing; no barrel files.',
        },
      ],
      '@typescript-eslint/consistent-type-imports': ['error', { fixStyle: 'inline-type-imports' }],
      '@typescript-eslint/no-explicit-any': 'error',
      // Libraries declare functions without `this` as methods; ours that need it use #private names and fail at once.
      '@typescript-eslint/unbound-method': 'off',
      '@typescript-eslint/no-floating-promises': ['error', { ignoreVoid: true }],
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { considerDefaultExhaustiveForUnions: true },
      ],
      '@typescript-eslint/no-unused-vars': [
        'error',
        { argsIgnorePattern: '^_', varsIgnorePattern: '^_', ignoreRestSiblings: true },
      ],
    },
  },
  {
    files: ['src/**/*.ts'],
    ignores: ['src/config.ts', 'src/main.ts', 'src/keys.ts', 'src/rotate-keys.ts'],
    rules: {
      'no-restricted-properties': [
        'error',
        { object: 'process', property: 'env', message: 'src/config.ts reads the environment.' },
      ],
    },
  },
  {
    // Answers come as JSON; what they hold is the very thing that a test states.
    files: ['test/**/*.ts', 'bench/**/*.ts', 'examples/**/*.ts'],
    rules: Object.fromEntries(
      ['assignment', 'member-access', 'call', 'argument', 'return'].map((use) => [
        `@typescript-eslint/no-unsafe-${use}`,
        'off',
      ]),
    ),
  },
  { files: ['**/*.js'], extends: [typescript.configs.disableTypeChecked] },
  { files: ['bin/*.js'], languageOptions: { globals: { process: 'readonly', URL: 'readonly' } } },
  {
    files: ['examples/page/*.js'],
    languageOptions: {
      globals: {
        document: 'readonly',
        FormData: 'readonly',
        clearTimeout: 'readonly',
        setTimeout: 'readonly',
      },
    },
  },
  { files: ['bench/**', 'examples/**', '.ci/**'], rules: { 'no-console': 'off' } },
);
