const { buildEmulatedAddon } = require('./suite.js')

module.exports = () => buildEmulatedAddon()
