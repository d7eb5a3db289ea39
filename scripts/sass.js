// What a kernel's machine code says of its speed where there is no card: kernels and natural loops of what
// `nvdisasm -c` prints, and what a warp issues on the longest way through a loop, beside the tensor cores' cycles.
//
// A warp issues one instruction a cycle at most, so that the instructions of a way are its least cycles. A way takes each
// block of a loop at most once; a loop within it counts `trips` times. Ways through functions that are called (slow
// divisions) count the call alone.

/** Half-precision multiply-adds of a quarter of a multiprocessor a clock, on compute capability 9.0. */
const MULTIPLY_ADDS_A_CLOCK = 512
/** Bytes of an instruction. */
const INSTRUCTION = 16

/**
 * @typedef {{ address: number, guard: string, opcode: string, operands: string, targets: number[] }} Instruction
 * @typedef {{ symbol: string, instructions: Instruction[], bytes: number }} Kernel
 * @typedef {{ first: number, end: number, next: number[] }} Block instructions first ≤ i < end
 * @typedef {{ head: number, blocks: Set<number> }} Loop
 */

/** @returns {Kernel[]} the functions that a launch may start, with what they call. */
function kernelsOf(text) {
  const kernels = []
  for (const section of text.split(/^\s*\.section\s+\.text\./m).slice(1)) {
    const symbol = /^[^\s,"]+/.exec(section)[0]
    const labels = new Map()
    const instructions = []
    for (const line of section.split('\n')) {
      const label = /^(\S+):\s*$/.exec(line)
      if (label) labels.set(label[1], instructions.length)
      const found = /^\s*\/\*([0-9a-f]+)\*\/\s+(?:(@!?U?P\S+)\s+)?([A-Z][\w.]*)\s*(.*?)\s*;/.exec(line)
      if (!found) continue
      const [, address, guard = '', opcode, operands] = found
      instructions.push({ address: Number.parseInt(address, 16), guard, opcode, operands, targets: [] })
    }
    for (const instruction of instructions)
      if (/^(BRA|BRX|JMP|JMX|CALL)\b/.test(instruction.opcode))
        instruction.targets = [...instruction.operands.matchAll(/[.$][.$\w]+/g)]
          .map(([name]) => labels.get(name))
          .filter((place) => place !== undefined)
    kernels.push({ symbol, instructions, bytes: INSTRUCTION * instructions.length })
  }
  return kernels
}

// BRA.DIV leaves where the lanes of a warp have parted, which they do not where all of them take part.
const leaves = ({ opcode }) => /^(BRA|BRX|JMP|JMX)\b(?!\.DIV)/.test(opcode)
const ends = ({ opcode }) => /^(EXIT|RET|BPT|KILL)\b/.test(opcode)
const always = ({ guard, operands }) => guard === '' && !/^!?U?P\d/.test(operands)

/** @returns {Block[]} runs of instructions that are entered at the first alone, in the order of addresses. */
function blocksOf({ instructions }) {
  const firsts = new Set([0])
  instructions.forEach((instruction, place) => {
    if (leaves(instruction) || ends(instruction)) firsts.add(place + 1)
    if (leaves(instruction)) for (const target of instruction.targets) firsts.add(target)
  })
  const places = [...firsts].filter((place) => place < instructions.length).sort((a, b) => a - b)
  const blockAt = new Map(places.map((place, block) => [place, block]))
  return places.map((first, block) => {
    const end = places[block + 1] ?? instructions.length
    const last = instructions[end - 1]
    const next = leaves(last) ? last.targets.map((target) => blockAt.get(target)) : []
    const falls = !((leaves(last) || ends(last)) && always(last))
    if (falls && block + 1 < places.length) next.push(block + 1)
    return { first, end, next: [...new Set(next)] }
  })
}

/** The blocks that every way from the first block to a block passes: of each block as a bit set. */
function dominatorsOf(blocks) {
  const before = blocks.map(() => [])
  blocks.forEach(({ next }, block) => {
    for (const other of next) before[other].push(block)
  })
  const everything = (1n << BigInt(blocks.length)) - 1n
  const dominators = blocks.map((_, block) => (block === 0 ? 1n : everything))
  for (let changed = true; changed; ) {
    changed = false
    for (let block = 1; block < blocks.length; ++block) {
      let common = everything
      for (const other of before[block]) common &= dominators[other]
      common |= 1n << BigInt(block)
      if (common === dominators[block]) continue
      dominators[block] = common
      changed = true
    }
  }
  return { before, dominators }
}

/** @returns {Loop[]} natural loops, those that share a head as one, smaller ones first. */
function loopsOf(blocks) {
  const { before, dominators } = dominatorsOf(blocks)
  const loops = new Map()
  const everything = (1n << BigInt(blocks.length)) - 1n
  blocks.forEach(({ next }, block) => {
    if (dominators[block] === everything && blocks.length > 1) return // nothing leads there: what is called
    for (const head of next) {
      if (!((dominators[block] >> BigInt(head)) & 1n)) continue
      const loop = loops.get(head) ?? new Set([head])
      loops.set(head, loop)
      const open = [block]
      while (open.length > 0) {
        const inside = open.pop()
        if (loop.has(inside)) continue
        loop.add(inside)
        open.push(...before[inside])
      }
    }
  })
  return [...loops]
    .map(([head, inside]) => ({ head, blocks: inside }))
    .sort((a, b) => a.blocks.size - b.blocks.size)
}

/** Multiply-adds of a tensor-core product that a quarter of a multiprocessor does, in its clocks; 0 of all else. */
function tensorClocks(opcode) {
  const halves = /^HGMMA\.64x(\d+)x(\d+)\./.exec(opcode)
  const warps = /^HMMA\.(16)(8)(8|16)\./.exec(opcode)
  const [multiplyAdds, slower] = halves
    ? [(64 * halves[1] * halves[2]) / 4, 1]
    : warps
      ? [warps[1] * warps[2] * warps[3], /\.TF32/.test(opcode) ? 2 : 1]
      : [0, 1]
  return (slower * multiplyAdds) / MULTIPLY_ADDS_A_CLOCK
}
const isTensorProduct = ({ opcode }) => /^(HMMA|HGMMA|IMMA|DMMA|BMMA|QGMMA|IGMMA)\./.test(opcode)
const isFloatProduct = ({ opcode }) => opcode.startsWith('FFMA')
/** Of a tanh (rational_tanh of native/cuda/net/activations.h): its argument is cut there. */
const cutsTanh = ({ operands }) => /\b7\.98000/.test(operands)
const isConversion = ({ opcode }) => /^(F2F|F2FP|F2I|I2F|I2FP|HADD2\.F32)\b/.test(opcode)
/** A call of a division, or the reciprocal by which integers are divided. */
const isDivision = ({ opcode, operands }) =>
  (opcode.startsWith('CALL') && /_div_|_rem_|_rcp_/.test(operands)) || /^I2F\.(\w+\.)*RP$/.test(opcode)
const setsPredicate = ({ opcode }) =>
  /^(U?ISETP|FSETP|DSETP|HSETP2|PSETP|U?PLOP3|LOP3\.LUT\.P|R2P|VOTE)\b/.test(opcode)

/** What a way through a loop, or a block, counts. */
class Counts {
  constructor(instructions = []) {
    this.issued = instructions.length
    this.tensorClocks = instructions.reduce((sum, { opcode }) => sum + tensorClocks(opcode), 0)
    this.products = instructions.filter((one) => isTensorProduct(one) || isFloatProduct(one)).length
    this.functions = instructions.filter(({ opcode }) => opcode.startsWith('MUFU')).length
    this.tanhs = instructions.filter(cutsTanh).length
    this.conversions = instructions.filter(isConversion).length
    this.divisions = instructions.filter(isDivision).length
    this.predicates = instructions.filter(setsPredicate).length
    this.bytes = instructions.reduce((sum, instruction) => sum + globalBytes(instruction), 0)
    this.waits = waitsForMemory(instructions)
  }
  /** Both, one after the other; the other `times` times. */
  with(other, times = 1) {
    const sum = new Counts()
    for (const key of Object.keys(sum)) sum[key] = this[key] + times * other[key]
    return sum
  }
}

/** How often a run of instructions stands still for what it loads from global memory: loads under way come together. */
function waitsForMemory(instructions) {
  const underWay = new Set()
  let waits = 0
  for (const { opcode, operands } of instructions) {
    const loads = /^(LDG|LDL|ATOMG)\b/.test(opcode)
    const read = loads ? operands.slice(operands.indexOf(',')) : operands
    if ([...read.matchAll(/\bR(\d+)/g)].some(([, register]) => underWay.has(Number(register)))) {
      ++waits
      underWay.clear()
    }
    if (!loads) continue
    const first = Number(/^R(\d+)/.exec(operands)?.[1])
    const registers = /\.128\b/.test(opcode) ? 4 : /\.64\b/.test(opcode) ? 2 : 1
    for (let i = 0; i < registers; ++i) underWay.add(first + i)
  }
  return waits
}

/** Bytes that a thread moves from or to global memory. */
function globalBytes({ opcode }) {
  if (!/^(LDG|STG|LDGSTS|ATOMG|RED)\b/.test(opcode)) return 0
  const bits = /\.(8|16|32|64|128)\b/.exec(opcode.replace(/\.[US](8|16)\b/, '.$1'))
  return bits ? bits[1] / 8 : 4
}

const longest = (ways) => ways.reduce((a, b) => (b.issued > a.issued ? b : a), new Counts())
const mean = (ways) => ways.reduce((sum, way) => sum.with(way, 1 / ways.length), new Counts())

/**
 * The longest way through a loop, by what a warp issues. `trips(loop)` says how often a loop within it runs on the way,
 * `ofCases` what counts of the ways on from a switch: the longest, or their mean; `ofBranches` of those from any branch.
 */
function longestWay(kernel, blocks, loops, loop, trips = () => 1, ofCases = longest, ofBranches = longest) {
  const inner = loops.filter(
    (one) => one !== loop && one.blocks.size < loop.blocks.size && loop.blocks.has(one.head)
  )
  // Each block of the loop lies in the largest loop within it, or in none.
  const owner = new Map()
  for (const one of inner) for (const block of one.blocks) owner.set(block, one)
  const seen = new Map()
  const from = (block) => {
    const key = owner.get(block)?.head ?? block
    if (seen.has(key)) return seen.get(key)
    seen.set(key, new Counts()) // a circle that is no natural loop ends here
    const within = owner.get(block)
    const here = within
      ? new Counts().with(
          longestWay(kernel, blocks, loops, within, trips, ofCases, ofBranches),
          trips(within)
        )
      : new Counts(kernel.instructions.slice(blocks[block].first, blocks[block].end))
    const ways = []
    for (const inside of within ? within.blocks : [block])
      for (const next of blocks[inside].next)
        if (loop.blocks.has(next) && next !== loop.head && !within?.blocks.has(next)) ways.push(from(next))
    const switches = !within && kernel.instructions[blocks[block].end - 1].opcode.startsWith('BRX')
    const sum = here.with((switches ? ofCases : ofBranches)(ways))
    seen.set(key, sum)
    return sum
  }
  return from(loop.head)
}

/** Of ways the one of the highest score, and the longest of those. */
const bestBy = (score) => (ways) =>
  ways.reduce((a, b) => ((score(b) - score(a) || b.issued - a.issued) > 0 ? b : a), ways[0] ?? new Counts())

/** The longest way through all of a kernel, its loops as often as `trips` says. */
function wholeWay(kernel, blocks, loops, trips, ofCases) {
  const everything = { head: 0, blocks: new Set(blocks.map((_, block) => block)) }
  return longestWay(kernel, blocks, [...loops, everything], everything, trips, ofCases)
}

/** The innermost loops that hold what `holds` looks for. */
function loopsAround(kernel, blocks, loops, holds) {
  const places = kernel.instructions.flatMap((instruction, place) => (holds(instruction) ? [place] : []))
  const innermost = new Set()
  let outside = 0
  for (const place of places) {
    const block = blocks.findIndex(({ first, end }) => first <= place && place < end)
    const loop = loops.find((one) => one.blocks.has(block))
    if (loop) innermost.add(loop)
    else ++outside
  }
  return { loops: [...innermost], outside }
}

module.exports = {
  bestBy,
  blocksOf,
  Counts,
  isFloatProduct,
  isTensorProduct,
  kernelsOf,
  longestWay,
  loopsAround,
  loopsOf,
  mean,
  tensorClocks,
  wholeWay
}
