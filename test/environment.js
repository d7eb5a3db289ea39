const { setImmediate: turn } = require('node:timers/promises')
const { setFlagsFromString } = require('node:v8')
const { runInNewContext } = require('node:vm')
const { TestEnvironment } = require('jest-environment-node')

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc')

// Jest's own environment, which is a realm beside the addon's, with two differences: tests and addon share the variables
// of the process, to which the option `env` adds, and what tests have dropped is collected at their end, while the
// modules are there that close its files.
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
    collect()
    await turn()
    await super.teardown()
  }
}
