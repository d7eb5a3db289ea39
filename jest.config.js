const { spawnSync } = require('node:child_process')
const { emulatedAddon, kernelsThatRan } = require('./test/emulator/suite.js')
const overEngines = require('./test/over-engines.js')

const common = {
  testEnvironment: '<rootDir>/test/environment.js',
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

// The CUDA engine where there is no card: its sources, compiled for the emulator of test/emulator.
const emulated = {
  ...common,
  displayName: 'emulated',
  testMatch: ['emulator', ...overEngines].map((name) => `**/${name}.test.ts`),
  globalSetup: '<rootDir>/test/emulator/setup.js',
  globalTeardown: '<rootDir>/test/emulator/teardown.js',
  testEnvironmentOptions: {
    env: {
      FFJORD_ADDON: emulatedAddon,
      FFJORD_TEST_DEVICES: 'cuda-emulated',
      FFJORD_EMULATOR_COVERAGE: kernelsThatRan
    }
  }
}

const hasCMake = spawnSync('cmake', ['--version']).status === 0
if (!hasCMake) console.warn('no cmake on the PATH: the CUDA engine is not tested under its emulator')

module.exports = {
  // The emulator shares the cores with the other suites.
  testTimeout: 300_000,
  projects: [
    {
      ...common,
      displayName: 'addon',
      testMatch: ['**/*.test.ts'],
      testPathIgnorePatterns: ['test/emulator.test.ts']
    },
    ...(hasCMake ? [emulated] : [])
  ]
}
