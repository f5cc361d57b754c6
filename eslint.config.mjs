import { defineConfig, globalIgnores } from 'eslint/config';
import { createNodeResolver, importX } from 'eslint-plugin-import-x';
import tseslint from 'typescript-eslint';

/**
 * The arrows of the house: which room may import which. `@cloudlet/crds` and `@cloudlet/runtime/base` are for
 * everybody; what is not listed here is refused.
 */
const arrows = {
  crds: [],
  'runtime/src/base': [],
  'runtime/src/kubernetes': ['@cloudlet/runtime/base'],
  tunnel: ['@cloudlet/crds', '@cloudlet/runtime/base'],
  drivers: ['@cloudlet/crds', '@cloudlet/runtime/base'],
  agent: ['@cloudlet/crds', '@cloudlet/runtime/base', '@cloudlet/tunnel', '@cloudlet/drivers'],
  operator: [
    '@cloudlet/crds',
    '@cloudlet/runtime/base',
    '@cloudlet/runtime/kubernetes',
    '@cloudlet/tunnel',
    '@cloudlet/drivers',
  ],
  cli: [
    '@cloudlet/crds',
    '@cloudlet/runtime/base',
    '@cloudlet/runtime/kubernetes',
    '@cloudlet/operator',
    '@cloudlet/drivers',
  ],
};

const roomRules = Object.entries(arrows).map(([room, allowed]) => ({
  files: [`${room}/**/*.ts`],
  rules: {
    'no-restricted-imports': [
      'error',
      {
        patterns: [
          {
            // Everything of ours but the rooms that this one may use (and their sub-entries).
            regex: `^@cloudlet/(?!(${allowed.map((name) => name.replace('@cloudlet/', '')).join('|') || '$'})($|/))`,
            message: `${room} may import ${allowed.join(', ') || 'no other room'} only (design: the house).`,
          },
          {
            regex: '^(\\.\\./)+(crds|runtime|tunnel|drivers|operator|agent|cli|e2e)/',
            message: 'Import another room by its package name, through its public entry.',
          },
        ],
      },
    ],
  },
}));

export default defineConfig(
  globalIgnores(['**/node_modules/', '**/dist/', '**/testdata/']),
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.recommendedTypeChecked],
    languageOptions: {
      parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname },
    },
    rules: {
      '@typescript-eslint/consistent-type-imports': ['error', { fixStyle: 'inline-type-imports' }],
      '@typescript-eslint/no-floating-promises': [
        'error',
        {
          allowForKnownSafeCalls: [
            {
              from: 'package',
              name: ['it', 'test', 'describe', 'suite', 'before', 'after'],
              package: 'node:test',
            },
          ],
        },
      ],
      '@typescript-eslint/no-unused-vars': [
        'error',
        { argsIgnorePattern: '^_', varsIgnorePattern: '^_' },
      ],
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { considerDefaultExhaustiveForUnions: true },
      ],
      '@typescript-eslint/require-await': 'off', // an interface may ask for a promise that this case need not wait for
      'no-restricted-syntax': [
        'error',
        { selector: 'ExportDefaultDeclaration', message: 'No default exports.' },
        { selector: 'TSEnumDeclaration', message: 'No enums: use a const object or a union.' },
      ],
      'max-lines': ['error', { max: 400 }],
    },
  },
  {
    // One clock: timers live in runtime/base/clock.ts.
    files: ['*/src/**/*.ts'],
    ignores: ['runtime/src/base/clock.ts', '**/*.test.ts'],
    rules: {
      'no-restricted-globals': [
        'error',
        { name: 'setTimeout', message: 'Use a Clock (runtime/base).' },
        { name: 'setInterval', message: 'Use a Clock (runtime/base).' },
      ],
    },
  },
  {
    // No cycles: inside a room too. Rooms see each other through package names, which the arrows order.
    files: ['*/src/**/*.ts', 'e2e/**/*.ts'],
    plugins: { 'import-x': importX },
    settings: {
      'import-x/extensions': ['.ts'],
      'import-x/parsers': { '@typescript-eslint/parser': ['.ts'] },
      'import-x/resolver-next': [createNodeResolver({ extensions: ['.ts'] })],
    },
    rules: { 'import-x/no-cycle': ['error', { ignoreExternal: true }] },
  },
  ...roomRules,
);
