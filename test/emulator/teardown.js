const { kernelCoverage } = require('./suite.js')

// Every kernel must have run, where the whole suite did.
module.exports = ({ nonFlagArgs, testPathPatterns, testNamePattern, onlyChanged }) => {
  const { all, ran } = kernelCoverage()
  const missing = all.filter((name) => !ran.has(name))
  const share = ((100 * (all.length - missing.length)) / all.length).toFixed(0)
  console.log(
    `\nKernels that ran under the emulator: ${all.length - missing.length} of ${all.length} (${share} %)`
  )
  const patterns = [...nonFlagArgs, ...testPathPatterns.patterns]
  const isWhole = patterns.length === 0 && !testNamePattern && !onlyChanged
  if (missing.length === 0) return
  const message = `kernels that did not run: ${missing.join(', ')}`
  if (isWhole) throw new Error(message)
  console.log(message)
}
