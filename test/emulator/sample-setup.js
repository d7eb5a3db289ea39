const { buildEmulated } = require('./suite.js')

module.exports = () => buildEmulated('ffjord')
