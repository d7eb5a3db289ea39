const { TestEnvironment } = require('jest-environment-node')

// Jest runs tests in a realm of its own, while the addon makes its errors and arrays in Node's. Sharing the
// constructors keeps `toThrow(TypeError)` and `instanceof Float32Array` meaningful across the two.
// The option `env` holds variables for the tests and for what the addon reads.
module.exports = class extends TestEnvironment {
  constructor({ globalConfig, projectConfig }, context) {
    super({ globalConfig, projectConfig }, context)
    this.env = projectConfig.testEnvironmentOptions.env ?? {}
  }

  async setup() {
    await super.setup()
    Object.assign(this.global, {
      Error,
      TypeError,
      RangeError,
      Float32Array,
      Float64Array,
      Int32Array,
      Uint32Array
    })
    Object.assign(process.env, this.env)
    Object.assign(this.global.process.env, this.env)
  }

  async teardown() {
    for (const name of Object.keys(this.env)) delete process.env[name]
    await super.teardown()
  }
}
