// What a prediction is made of: counts of each launch, once a launch, and the Markdown table that shows them.
const { countsOf, nameOf } = require('./launch-counts.js')
const { wavesOf } = require('./time-model.js')

const row = (cells) => console.log(`| ${cells.join(' | ')} |`)

/** Counts of launches by the machine code that `codeOf` finds of a source. */
function counter(codeOf) {
  const counted = new Map()
  return (launch) => {
    const name = nameOf(launch)
    if (!counted.has(name)) counted.set(name, countsOf(codeOf(launch.source), launch))
    return counted.get(name)
  }
}

const columns = [
  'kernel',
  'trips',
  'blocks',
  'warps',
  'waves',
  'instructions',
  'once',
  'waits',
  'tensor clocks',
  'bytes a thread',
  'predicted, µs'
]

/** A launch a line, with its `microseconds`. */
function tellInputs(launches, counts, microseconds) {
  row(columns)
  row(columns.map(() => '---'))
  for (const launch of launches) {
    const { issued, once, waits, tensorClocks, bytes } = counts(launch)
    row([
      `${launch.kernel} ${launch.instance}`,
      JSON.stringify(launch.trips).replaceAll('"', ''),
      launch.grid,
      launch.warps,
      wavesOf(launch).toFixed(2),
      ...[issued, once, waits, tensorClocks, bytes].map((count) => count.toLocaleString('en')),
      microseconds(launch).toFixed(1)
    ])
  }
}

module.exports = { counter, row, tellInputs }
