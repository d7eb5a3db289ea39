// What a warp issues in a launch: the longest way through its kernel, whose loops run as often as the launch says. Of the
// cases of a switch, mostly activations, it is their mean.
const { join } = require('node:path')
const { blocksOf, isTensorProduct, longestWay, loopsOf, mean, wholeWay } = require(
  join(__dirname, '../../scripts/sass.js')
)

/** Above this share of multiply-adds an innermost loop is one of products. */
const SHARE_OF_PRODUCTS = 0.35

const nameOf = ({ kernel, instance, trips }) => [kernel, instance, JSON.stringify(trips)].join(' ')

/** How often each loop of a kernel runs, by `trips` of launches.js. */
function tripsOf(code, blocks, loops, { tensor = 1, float = 1, around = [], inside = 1, first = 1 }) {
  const within = (outer, inner) => outer.blocks.size > inner.blocks.size && outer.blocks.has(inner.head)
  const instructions = (loop) =>
    [...loop.blocks].flatMap((block) => code.instructions.slice(blocks[block].first, blocks[block].end))
  const ofTensor = []
  const ofFloats = []
  for (const loop of loops) {
    const all = instructions(loop)
    const inner = loops.filter((one) => within(loop, one))
    if (all.some(isTensorProduct)) {
      if (!inner.some((one) => instructions(one).some(isTensorProduct))) ofTensor.push(loop)
    } else if (inner.length === 0) {
      const way = longestWay(code, blocks, loops, loop)
      if (way.products > SHARE_OF_PRODUCTS * way.issued) ofFloats.push(loop)
    }
  }
  // FFMAs within a loop of the tensor cores are a case of it.
  const products = [...ofTensor, ...ofFloats.filter((loop) => !ofTensor.some((one) => within(one, loop)))]
  /** Loops from one of products out to this one, at most. */
  const height = (loop) =>
    Math.max(
      0,
      ...products
        .filter((one) => within(loop, one))
        .map(
          (one) =>
            loops.filter((between) => within(between, one) && (between === loop || within(loop, between)))
              .length
        )
    )
  /** Of loops that hold no further one, what they do: activations take functions, splitting into halves converts. */
  const counted = (loop) => {
    if (typeof inside === 'number') return inside
    const all = instructions(loop)
    if (all.some(({ opcode }) => opcode.startsWith('MUFU'))) return inside.activating
    return all.some(({ opcode }) => opcode.startsWith('F2FP')) ? inside.splitting : inside.other
  }
  const known = new Map(
    loops.map((loop) => {
      if (ofTensor.includes(loop)) return [loop, tensor]
      if (ofFloats.includes(loop)) return [loop, float]
      const up = height(loop)
      if (up > 0) return [loop, around[up - 1] ?? 1]
      if (!loops.some((one) => within(one, loop))) return [loop, first]
      return [loop, loops.some((one) => within(loop, one)) ? 1 : counted(loop)]
    })
  )
  return (loop) => known.get(loop) ?? 1
}

/**
 * @param codes the kernels of the launch's source
 * @returns instructions of a warp with all trips and with each loop once, its waits for global memory, its clocks
 *   of the tensor cores, and a thread's bytes of global memory
 */
function countsOf(codes, launch) {
  const instance = new RegExp(`\\d${launch.kernel}.*${launch.instance}`)
  const code = codes.find(({ symbol }) => instance.test(symbol))
  if (!code) throw new Error(`${launch.source} has no ${launch.kernel} whose name holds ${launch.instance}`)
  const blocks = blocksOf(code)
  const loops = loopsOf(blocks)
  const once = wholeWay(code, blocks, loops, () => 1, mean)
  const all = wholeWay(code, blocks, loops, tripsOf(code, blocks, loops, launch.trips), mean)
  return {
    issued: Math.round(all.issued),
    once: Math.round(once.issued),
    waits: Math.round(all.waits),
    tensorClocks: Math.round(all.tensorClocks),
    bytes: Math.round(all.bytes)
  }
}

module.exports = { countsOf, nameOf }
