// Says where `#include`s of native/ and imports of lib/ run in a circle, or up the floors of the house in place of down.
//   node scripts/check-floors.js [ROOT]
const { existsSync, readdirSync, readFileSync, statSync } = require('node:fs')
const { dirname, join, posix, resolve } = require('node:path')

const root = resolve(process.argv[2] ?? join(__dirname, '..'))

/**
 * Rooms of each folder, from the ground up: a room may use those below it. Rooms of one floor stand beside each other,
 * and neither may use the other. Every file stands in a room.
 */
const floors = {
  native: [
    // What every engine shares; it names no engine, so that a new one changes nothing here.
    ['core'],
    // Engines know nothing of each other: each can be left out of a build, or be the oracle of another.
    // Processes that share a job know none of them either.
    ['reference', 'cpu', 'cuda', 'distributed'],
    ['binding']
  ],
  'native/cuda': [
    // A card, its memory and its launches.
    ['device'],
    // Products of matrices, whatever they stand for.
    ['product'],
    // Who steps together, and how far, whatever the right-hand side.
    ['step'],
    // The right-hand side: layers and divergences.
    ['net'],
    // Whole solves of small nets, in one launch: they have steps and layers of their own.
    ['fused'],
    // A block of dynamics, which chooses between a launch a solve and a kernel a layer.
    ['block'],
    ['flow']
  ],
  lib: [
    // The binding's interface, what callers hand to it, and its errors: everybody speaks in these.
    ['native'],
    // Files as such, whatever they hold.
    ['file'],
    // Rows and their columns. A flow keeps the columns that it was trained on, so that data stand below it.
    ['data'],
    // One flow: its description, its calls, its model file, and the state of training that the file keeps.
    ['flow'],
    // Tables propose blocks of a flow; scores of rows ask a flow; files of images become data sets of bytes.
    ['table', 'evaluation', 'image'],
    // Training validates by an evaluation, baselines are evaluated as flows are, benchmark sets are read as tables and images.
    ['training', 'density', 'benchmark'],
    // The class, whose methods are the calls of the rooms below; and autoencoders, whose posterior is a flow of the core.
    ['flow.ts', 'vae'],
    ['index.ts'],
    // Users of the package, as any other program.
    ['report'],
    ['cli']
  ]
}

/** Packages and headers that belong to one room. */
const owners = { 'napi.h': 'native/binding', 'node-gyp-build': 'lib/native' }

const patterns = {
  native: /^\s*#\s*include\s*["<]([^">]+)[">]/gm,
  // Types' imports count: who needs another's types depends on it.
  lib: /\b(?:from|import|require)\s*\(?\s*'([^']+)'/g
}

/** Files of both folders, and of each the files and packages that it names. */
function read() {
  const graph = new Map()
  const packages = []
  for (const [folder, pattern] of Object.entries(patterns)) {
    const all = existsSync(join(root, folder)) ? readdirSync(join(root, folder), { recursive: true }) : []
    const files = all
      .map((path) => posix.join(folder, path.replaceAll('\\', '/')))
      .filter((file) => (folder === 'lib' ? file.endsWith('.ts') : /\.(h|cc|cu|cuh)$/.test(file)))
    for (const file of files) {
      const named = [...readFileSync(join(root, file), 'utf8').matchAll(pattern)].map(([, name]) => name)
      const found = named.map((name) => target(file, name))
      graph.set(file, [...new Set(found.filter(Boolean))].sort())
      packages.push(...named.filter((_, i) => !found[i]).map((name) => [file, name]))
    }
  }
  return { graph, packages }
}

/** The file that `name` means in `file`, undefined for what is not of this house. */
function target(file, name) {
  const places = file.startsWith('lib/')
    ? name.startsWith('.')
      ? ['.ts', '.d.ts', '/index.ts'].map((end) => posix.join(dirname(file), name + end))
      : []
    : [posix.join('native', name), posix.join(dirname(file), name)]
  return places.find((place) => existsSync(join(root, place)) && statSync(join(root, place)).isFile())
}

/** The shortest way from every file that stands in a circle back to it, each circle once. */
function circles(graph) {
  const found = new Map()
  for (const start of graph.keys()) {
    const way = shortest(graph, start)
    if (way) found.set([...way].sort().join(), way)
  }
  return [...found.values()].map((way) => `circle: ${[...way, way[0]].join(' → ')}`)
}

function shortest(graph, start) {
  const before = new Map()
  for (const queue = [start]; queue.length > 0; ) {
    const file = queue.shift()
    for (const next of graph.get(file) ?? []) {
      if (next === start) return chain(before, file, start)
      if (before.has(next)) continue
      before.set(next, file)
      queue.push(next)
    }
  }
  return undefined
}

function chain(before, last, start) {
  const way = [last]
  while (way[0] !== start) way.unshift(before.get(way[0]))
  return way
}

/** The room of `file` in a folder of the table, and the floor that it is on. */
function place(folder, file) {
  const room = file.slice(folder.length + 1).split('/')[0]
  return { room, floor: floors[folder].findIndex((rooms) => rooms.includes(room)) }
}

function arrows(graph) {
  const problems = []
  for (const [folder, rooms] of Object.entries(floors)) {
    const isIn = (file) => file.startsWith(`${folder}/`)
    for (const [file, used] of graph) {
      if (!isIn(file)) continue
      const from = place(folder, file)
      if (from.floor < 0) problems.push(`${file} stands in no room of ${folder}: ${rooms.flat().join(', ')}`)
      else
        for (const other of used.filter(isIn)) {
          const to = place(folder, other)
          if (to.room === from.room || (to.floor >= 0 && to.floor < from.floor)) continue
          const where = to.floor === from.floor ? 'beside' : 'below'
          problems.push(`arrow: ${file} → ${other}: ${from.room} stands ${where} ${to.room}`)
        }
    }
  }
  return problems
}

/** Headers that a kernel's header would compile for its instruction set, as native/cpu/isa.h lacks them. */
function leaks(graph, packages) {
  const includes = (file) => [
    ...(graph.get(file) ?? []),
    ...packages.filter(([by]) => by === file).map(([, name]) => name)
  ]
  const isKernel = (file) =>
    file.startsWith('native/cpu/') &&
    readFileSync(join(root, file), 'utf8').includes('namespace ffjord::cpu::FFJORD_INSTRUCTION_SET {')
  const before = includes('native/cpu/isa.h')
  return [...graph.keys()].filter(isKernel).flatMap((file) =>
    includes(file)
      .filter((other) => !before.includes(other) && !(graph.has(other) && isKernel(other)))
      .map((other) => `native/cpu/isa.h does not include ${other}, which ${file} does`)
  )
}

const { graph, packages } = read()
const problems = [
  ...circles(graph),
  ...arrows(graph),
  ...leaks(graph, packages),
  ...packages
    .filter(([file, name]) => name in owners && !file.startsWith(`${owners[name]}/`))
    .map(([file, name]) => `${file} names ${name}, which ${owners[name]} alone does`)
]
for (const problem of problems) console.error(problem)
if (problems.length === 0) console.log(`no circle and no arrow against the floors in ${graph.size} files`)
process.exitCode = problems.length > 0 ? 1 : 0
