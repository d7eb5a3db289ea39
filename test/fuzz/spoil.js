const { inspect, types } = require('node:util')
const { hostile } = require('./values.js')

/** Numbers under these keys decide how long a call takes, or how much memory. */
const costly = new Set(
  'count samples times steps maxAttempts hidden iterations epochs batch accumulate components rounds probes rows certify every matching size'.split(
    ' '
  )
)
const most = 500

const isOpen = (value) =>
  typeof value === 'object' &&
  value !== null &&
  !types.isProxy(value) &&
  !ArrayBuffer.isView(value) &&
  (Array.isArray(value) || Object.getPrototypeOf(value) === Object.prototype)

/** Every place within the arguments of a call. */
function places(value, depth = 0) {
  if (!isOpen(value) || depth > 6) return []
  return Object.keys(value).flatMap((key) => [{ holder: value, key }, ...places(value[key], depth + 1)])
}

/** Changes one or two places among `args`; says how. */
function spoil(args, random) {
  const told = []
  for (let left = random.chance(0.8) ? 1 : 2; left > 0; left--) {
    const all = places(args)
    if (all.length === 0) return 'no arguments'
    const { holder, key } = random.one(all)
    // An argument itself may be a count; so may whatever stands in a list under such a key.
    const cap = holder === args || Array.isArray(holder) || costly.has(key) ? most : Infinity
    const value = hostile(random, cap)
    const how = random.below(8)
    if (how === 0 && !Array.isArray(holder)) delete holder[key]
    else if (how === 1 && !Array.isArray(holder))
      holder[random.one([`${key}s`, 'sede', '__proto_', 'then'])] = value
    else if (how === 2)
      Object.defineProperty(holder, key, { get: () => hostile(random, cap), enumerable: true })
    else holder[key] = value
    told.push(`${how}: ${key} = ${named(value)}`)
  }
  return told.join(', ')
}

function named(value) {
  try {
    return inspect(value, { depth: 0, maxArrayLength: 3, maxStringLength: 20, breakLength: Infinity }).slice(
      0,
      60
    )
  } catch {
    return typeof value
  }
}

module.exports = { spoil }
