const { spawnSync } = require('node:child_process')
const { emulatedAddon, kernelsThatRan } = require('./test/emulator/suite.js')
const overEngines = require('./test/over-engines.js')

const common = {
  testEnvironment: '<rootDir>/test/environment.js',
  setupFilesAfterEnv: ['<rootDir>/test/asserts.js'],
  roots: ['<rootDir>/test'],
  moduleNameMapper: {
    '^ffjord$': '<rootDir>/lib',
    '^h5wasm/node$': '<rootDir>/node_modules/h5wasm/dist/node/hdf5_hl.js'
  },
  transformIgnorePatterns: ['node_modules/(?!(hyparquet[^/]*|hysnappy|fzstd|h5wasm)/)'],
  transform: {
    // Libraries that come as ES modules alone, which jest cannot import.
    '(\\.ts|node_modules/(hyparquet[^/]*|hysnappy|fzstd|h5wasm)/.+\\.js)$': [
      '@swc/jest',
      {
        jsc: { parser: { syntax: 'typescript' }, target: 'es2022' },
        module: { type: 'commonjs' }
      }
    ]
  }
}

const suites = (names) => names.map((name) => `**/${name}.test.ts`)

// The CUDA engine where there is no card: its sources, compiled for the emulator of test/emulator. Of what it computes the
// golden vectors belong to `npm test`; all else takes minutes.
const sample = ['golden']
const emulated = {
  ...common,
  testEnvironmentOptions: { env: { FFJORD_ADDON: emulatedAddon, FFJORD_TEST_DEVICES: 'cuda-emulated' } }
}

const hasCMake = spawnSync('cmake', ['--version']).status === 0
if (!hasCMake) console.warn('no cmake on the PATH: the CUDA engine is not tested under its emulator')

module.exports = {
  // Every core has a worker, beside processes and threads of the tests themselves.
  testTimeout: 300_000,
  projects: [
    {
      ...common,
      displayName: 'addon',
      testMatch: ['**/*.test.ts'],
      testPathIgnorePatterns: ['test/(emulator|distributed-cards|packaging).test.ts']
    },
    { ...common, displayName: 'packaging', testMatch: suites(['packaging']) },
    ...(hasCMake
      ? [
          {
            ...emulated,
            displayName: 'emulated-sample',
            testMatch: suites(sample),
            globalSetup: '<rootDir>/test/emulator/sample-setup.js'
          },
          {
            ...emulated,
            displayName: 'emulated',
            testMatch: suites([
              'emulator',
              'distributed-cards',
              ...overEngines.filter((name) => !sample.includes(name))
            ]),
            globalSetup: '<rootDir>/test/emulator/setup.js',
            globalTeardown: '<rootDir>/test/emulator/teardown.js',
            testEnvironmentOptions: {
              env: { ...emulated.testEnvironmentOptions.env, FFJORD_EMULATOR_COVERAGE: kernelsThatRan }
            }
          }
        ]
      : [])
  ]
}
