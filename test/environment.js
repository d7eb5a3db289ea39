const { TestEnvironment } = require('jest-environment-node')

// Jest runs tests in a realm of its own, while the addon makes its errors and arrays in Node's. Sharing the
// constructors keeps `toThrow(TypeError)` and `instanceof Float32Array` meaningful across the two.
// Tests and addon have one environment; the option `env` holds variables for it.
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
    this.global.process.env = process.env
  }

  async teardown() {
    for (const name of Object.keys(this.env)) delete process.env[name]
    await super.teardown()
  }
}
