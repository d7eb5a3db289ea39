// What the limits of scripts/kernel-limits.js are held against: counts of one instance of a kernel, from its machine code
// and ptxas' report.
const {
  bestBy,
  blocksOf,
  isFloatProduct,
  isTensorProduct,
  kernelsOf,
  longestWay,
  loopsAround,
  loopsOf
} = require('./sass.js')

/** Of a multiprocessor from compute capability 8.0 on; a thread's registers come in eights. */
const REGISTERS = 65536
const MOST_THREADS = 2048

const worst = (values) => Math.max(...values)
const rounded = (value) => Math.round(1000 * value) / 1000

/** Blocks that a multiprocessor holds as far as registers and threads go. */
function blocksByRegisters(registers, threads) {
  return Math.floor(Math.min(REGISTERS / (8 * Math.ceil(registers / 8) * threads), MOST_THREADS / threads))
}

/** Loops around `loop`, itself first. */
function around(loops, loop) {
  return loops.filter((one) => one.blocks.size >= loop.blocks.size && one.blocks.has(loop.head))
}

/**
 * Instructions of a warp for a layer of so many inputs and 64 outputs: the longest way through the loop of layers, which is
 * the innermost one around the products with a barrier in it, or that of the products where they are all unrolled.
 * `trips(depth)`: of the loops within it, the outermost first, the last that of the products.
 */
function layerInstructions(code, loops, blocks, products, trips, depth) {
  const outwards = around(loops, products)
  const meets = ({ blocks: inside }) =>
    [...inside].some((block) =>
      code.instructions
        .slice(blocks[block].first, blocks[block].end)
        .some(({ opcode }) => opcode.startsWith('BAR'))
    )
  const times = trips(depth)
  const layers = times.length === 0 ? products : outwards.find(meets)
  if (!layers || outwards.indexOf(layers) !== times.length)
    throw new Error(
      `the loop of layers has ${outwards.indexOf(layers)} loops down to the products, not ${times.length}`
    )
  const within = outwards.slice(0, times.length).reverse()
  return longestWay(code, blocks, loops, layers, (loop) => times[within.indexOf(loop)] ?? 1).issued
}

/**
 * Instructions of a warp for the layers of 2-64-64-64-2 with tanh, without gates, where one loop has them all
 * (native/cuda/fused/fused_fragment_field.h): of 64 → 64, and their mean. The first is summed by two trips of multiply-adds,
 * the last neither activated nor split.
 */
function fragmentLayers(code, blocks, loops, loop) {
  const way = (score) => longestWay(code, blocks, loops, loop, () => 2, bestBy(score), bestBy(score)).issued
  const layer = way((counts) => 1e6 * counts.tensorClocks + 1e3 * counts.tanhs - counts.functions)
  const first = way((counts) => -1e6 * counts.tensorClocks + 1e3 * counts.tanhs - counts.functions)
  const last = way((counts) => 1e6 * counts.tensorClocks - 1e3 * counts.conversions - counts.functions)
  return { layer, meanLayer: (first + 2 * layer + last) / 4 }
}

/**
 * @param code a kernel of kernelsOf
 * @param reported what ptxas says of it
 * @param {{ threads: number, products: 'tensor' | 'float32', trips?: (depth: number) => number[], fragments?: boolean }} row
 * @returns counts by the names that limits have; those of loops are undefined where no loop holds products
 */
function countsOf(code, reported, { threads, products, trips, fragments }) {
  const blocks = blocksOf(code)
  const loops = loopsOf(blocks)
  const found = loopsAround(
    code,
    blocks,
    loops,
    products === 'tensor' ? isTensorProduct : isFloatProduct
  ).loops
  const ways = found.map((loop) => ({ loop, way: longestWay(code, blocks, loops, loop) }))
  const counts = {
    codeKiB: rounded(code.bytes / 1024),
    registers: reported.registers,
    spilled: reported.spilled,
    blocks: blocksByRegisters(reported.registers, threads)
  }
  if (found.length === 0) return counts
  if (products === 'tensor')
    Object.assign(counts, {
      issueShare: rounded(worst(ways.map(({ way }) => way.issued / way.tensorClocks))),
      conversions: worst(ways.map(({ way }) => way.conversions)),
      divisions: worst(ways.map(({ way }) => way.divisions)),
      predicates: worst(ways.map(({ way }) => way.predicates))
    })
  if (fragments) Object.assign(counts, fragmentLayers(code, blocks, loops, found[0]))
  if (trips) {
    // Sums of other things are loops of products too; that of a layer has most of them.
    const densest = ways.reduce((a, b) =>
      b.way.products / b.way.issued > a.way.products / a.way.issued ? b : a
    )
    const layer = (depth) => layerInstructions(code, loops, blocks, densest.loop, trips, depth)
    counts.layer = layer(64)
    counts.meanLayer = (layer(2) + 3 * layer(64)) / 4 // 2-64-64-64-2
  }
  return counts
}

/**
 * What is wrong with a row of the table of limits, given the counts of its instances, and what it excepts.
 * @returns {{ problems: string[], exceptions: string[] }}
 */
function judge({ kernel, instances, blocks, limits, exception }, all) {
  const name = `${kernel} (${instances.source})`
  if (all.length === 0) return { problems: [`${name}: no instance has such a name`], exceptions: [] }
  const problems = []
  const exceptions = []
  const fewest = Math.min(...all.map((counts) => counts.blocks))
  if (fewest < blocks) problems.push(`${name}: a multiprocessor holds ${fewest} blocks, not ${blocks}`)
  for (const [key, limit] of Object.entries(limits)) {
    if (all.some((counts) => counts[key] === undefined)) {
      problems.push(`${name}: no loop holds its products, so that ${key} is not known`)
      continue
    }
    const most = worst(all.map((counts) => counts[key]))
    const counted = exception?.counted[key]
    if (counted === undefined) {
      if (most > limit) problems.push(`${name}: ${key} is ${most}, beyond the limit of ${limit}`)
    } else if (most <= limit) {
      problems.push(`${name}: ${key} is ${most}, so that it needs no exception from ${limit} any more`)
    } else if (most > counted) {
      problems.push(`${name}: ${key} is ${most}, worse than the ${counted} of its exception`)
    } else {
      exceptions.push(`${key} ${most} (limit ${limit}, ${counted} on ${exception.since})`)
    }
  }
  for (const key of Object.keys(exception?.counted ?? {}))
    if (!(key in limits)) problems.push(`${name}: an exception from ${key}, which it has no limit of`)
  if (exceptions.length === 0) return { problems, exceptions }
  return { problems, exceptions: [`exception: ${name}: ${exceptions.join(', ')}: ${exception.why}`] }
}

module.exports = { blocksByRegisters, countsOf, judge, kernelsOf }
