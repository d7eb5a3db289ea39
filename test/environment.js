const { TestEnvironment } = require('jest-environment-node')

// Jest runs tests in a realm of its own, while the addon makes its errors and arrays in Node's. Sharing the
// constructors keeps `toThrow(TypeError)` and `instanceof Float32Array` meaningful across the two.
module.exports = class extends TestEnvironment {
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
  }
}
