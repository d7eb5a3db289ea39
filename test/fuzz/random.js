/** Numbers that a seed, a kind of case and the number of the case decide. */
module.exports = function randomOf(seed, kind, number) {
  // Mixed as FNV does, then a linear congruence with its high bits taken: of a fuzzer's numbers nothing more is asked.
  let state = 2166136261n
  for (const word of [BigInt(seed), ...Buffer.from(kind).values(), BigInt(number)].map(BigInt))
    state = ((state ^ word) * 1099511628211n) & 0xffffffffffffffffn
  const next = () => {
    state = (state * 6364136223846793005n + 1442695040888963407n) & 0xffffffffffffffffn
    return Number(state >> 32n) / 2 ** 32
  }
  const below = (count) => Math.floor(next() * count)
  return {
    below,
    chance: (share) => next() < share,
    one: (list) => list[below(list.length)]
  }
}
