import { choice } from '../native/check'

/** Noise that makes numbers with a density of levels, and what it takes from bits per dimension. */

export const levelNoises = ['uniform', 'truncated-normal'] as const

/**
 * The law of u in (b + u) / 256: 'uniform' on (0, 1), as papers report; 'truncated-normal' u = ½ + ε / 2τ with ε of N(0, 1) on (−τ, τ),
 * τ = 3, which comes to nothing at the borders between levels (Zheng et al. 2023).
 */
export type LevelNoise = (typeof levelNoises)[number]

export function checkLevelNoise(value: unknown): LevelNoise {
  return choice(value, 'dequantize', levelNoises)
}

/** The noise of images that are read by `law`: uniform where that adds none. */
export function noiseOf(law: string | undefined): LevelNoise {
  return levelNoises.find((noise) => noise === law) ?? 'uniform'
}

/** τ of native/core/truncated_normal.h. */
const TRUNCATION = 3
/** P(|ε| < τ) of N(0, 1), erf(τ / √2). */
const INSIDE = 0.9973002039367398

/** log q of u at ε = 0. */
const LARGEST = Math.log(2 * TRUNCATION) - Math.log(2 * Math.PI) / 2 - Math.log(INSIDE)

/** E[ε²] = 1 − 2τ φ(τ) / P(|ε| < τ). */
const VARIANCE = 1 - (2 * TRUNCATION * Math.exp(-(TRUNCATION ** 2) / 2)) / Math.sqrt(2 * Math.PI) / INSIDE

/** log q of the noise in each of `count` images of numbers (b + u) / 256: nats an image. */
export function logNoise(noise: LevelNoise, numbers: Float64Array, count: number): Float64Array {
  const sums = new Float64Array(count)
  if (noise === 'uniform') return sums
  const size = numbers.length / count
  for (let i = 0; i < numbers.length; i++) {
    const level = 256 * numbers[i]!
    const epsilon = 2 * TRUNCATION * (level - Math.floor(level) - 0.5)
    sums[Math.floor(i / size)]! += LARGEST - epsilon ** 2 / 2
  }
  return sums
}

/** E[log q(u)], nats an element. */
function meanLogNoise(noise: LevelNoise): number {
  return noise === 'uniform' ? 0 : LARGEST - VARIANCE / 2
}

/**
 * Mean −log p of images, nats, as bits per dimension, which bound −log₂ P(levels) from above in the mean over the noise:
 * (nats / D + ln 256 + E[log q(u)]) / ln 2 (Theis et al. 2016; Ho et al. 2019).
 */
export function bitsPerDim(nats: number, dimensions: number, noise: LevelNoise = 'uniform'): number {
  return (nats / dimensions + Math.log(256) + meanLogNoise(noise)) / Math.LN2
}
