const { TestEnvironment } = require('jest-environment-node')

// Jest's own environment, which is a realm beside the addon's, with one difference: tests and addon share the variables
// of the process, and the option `env` adds to them.
module.exports = class extends TestEnvironment {
  constructor({ globalConfig, projectConfig }, context) {
    super({ globalConfig, projectConfig }, context)
    this.env = projectConfig.testEnvironmentOptions.env ?? {}
  }

  async setup() {
    await super.setup()
    Object.assign(process.env, this.env)
    this.global.process.env = process.env
  }

  async teardown() {
    for (const name of Object.keys(this.env)) delete process.env[name]
    await super.teardown()
  }
}
