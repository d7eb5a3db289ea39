import type { RealArray } from '../native/batch'

/** Points of a latent space: where a walk goes, and which of its dimensions show most. */

/**
 * `steps` points (steps, L) from a to b on the great circle through them, its radius growing evenly from |a| to |b|: a straight line would
 * pass nearer to 0 than draws of N(0, I) lie where L is large.
 */
export function walk(a: RealArray, b: RealArray, steps: number): Float32Array {
  const [lengthA, lengthB] = [Math.hypot(...a), Math.hypot(...b)]
  let cosine = 0
  for (let i = 0; i < a.length; i++) cosine += (a[i]! * b[i]!) / (lengthA * lengthB || 1)
  const angle = Math.acos(Math.min(1, Math.max(-1, cosine)))
  const sine = Math.sin(angle)
  const points = new Float32Array(steps * a.length)
  for (let step = 0; step < steps; step++) {
    const share = step / (steps - 1)
    // Through 0, and between points of one direction, the way is straight.
    const straight = !(sine > 1e-3 && lengthA > 0 && lengthB > 0)
    const radius = (1 - share) * lengthA + share * lengthB
    const fromA = straight ? 1 - share : (radius * Math.sin((1 - share) * angle)) / (sine * lengthA)
    const fromB = straight ? share : (radius * Math.sin(share * angle)) / (sine * lengthB)
    for (let i = 0; i < a.length; i++) points[step * a.length + i] = fromA * a[i]! + fromB * b[i]!
  }
  return points
}

/**
 * The two dimensions of draws z0 and zk (n, L) that the flow moves most, relative to the spread of z0; where it moves none, those that the
 * image says most of, whose spread is smallest. One dimension is returned twice.
 */
export function tellingDimensions(z0: RealArray, zk: RealArray, latent: number): [number, number] {
  const rows = z0.length / latent
  const dimensions = Array.from({ length: latent }, (_, dimension) => {
    let [sum, squares, moved] = [0, 0, 0]
    for (let row = 0; row < rows; row++) {
      const at = row * latent + dimension
      sum += z0[at]!
      squares += z0[at]! ** 2
      moved += (zk[at]! - z0[at]!) ** 2
    }
    const variance = Math.max(squares / rows - (sum / rows) ** 2, 1e-12)
    return { dimension, variance, moved: moved / rows / variance }
  })
  dimensions.sort((a, b) => b.moved - a.moved || a.variance - b.variance)
  const [first, second = first] = dimensions
  return [first!.dimension, second!.dimension]
}

/** Columns `first` and `second` of a (n, L) and b (n, L), side by side (n, 2). */
export function columnsOf(
  [a, first]: [RealArray, number],
  [b, second]: [RealArray, number],
  latent: number
): Float64Array {
  return Float64Array.from({ length: (2 * a.length) / latent }, (_, i) => {
    const row = (i >> 1) * latent
    return i % 2 === 0 ? a[row + first]! : b[row + second]!
  })
}
