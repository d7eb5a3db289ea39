module.exports = {
  testEnvironment: '<rootDir>/test/environment.js',
  roots: ['<rootDir>/test'],
  testTimeout: 120_000,
  testMatch: ['**/*.test.ts'],
  moduleNameMapper: { '^ffjord$': '<rootDir>/lib' },
  transform: {
    '^.+\\.ts$': [
      '@swc/jest',
      {
        jsc: { parser: { syntax: 'typescript' }, target: 'es2022' },
        module: { type: 'commonjs' }
      }
    ]
  }
}
