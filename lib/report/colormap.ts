/** Magma, the perceptually uniform map of van der Walt and Smith (CC0), at 33 knots between which it is linear to the eye. */
const KNOTS = (
  '000004 030312 0a0822 130d34 1d1147 29115a 36106b 440f76 51127c 5d177f 6a1c81 762181 832681 902a81 9c2e7f aa337d ' +
  'b73779 c43c75 d0416f dc4869 e75263 ef5d5e f56b5c f9795d fc8961 fd9869 fea772 feb67c fec488 fed395 fde2a3 fcf0b2 ' +
  'fcfdbf'
).split(' ')

/** 256 colours as r, g, b bytes. */
export const MAGMA: Uint8Array = ramp(
  KNOTS.map((knot) => [0, 2, 4].map((i) => Number.parseInt(knot.slice(i, i + 2), 16)))
)

function ramp(knots: number[][]): Uint8Array {
  const colours = new Uint8Array(256 * 3)
  for (let level = 0; level < 256; level++) {
    const position = (level / 255) * (knots.length - 1)
    const low = Math.min(Math.floor(position), knots.length - 2)
    for (let channel = 0; channel < 3; channel++) {
      const [a, b] = [knots[low]![channel]!, knots[low + 1]![channel]!]
      colours[3 * level + channel] = Math.round(a + (b - a) * (position - low))
    }
  }
  return colours
}

/**
 * Colour level 0…255 of a density: proportional to its square root, so that tails stay visible beside peaks.
 * `peak` is the density that saturates.
 */
export function densityLevel(density: number, peak: number): number {
  if (!(density > 0)) return 0
  return Math.min(255, Math.round(255 * Math.sqrt(density / peak)))
}
