module.exports = {
  testEnvironment: '<rootDir>/test/environment.js',
  roots: ['<rootDir>/test'],
  testTimeout: 120_000,
  testMatch: ['**/*.test.ts'],
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
