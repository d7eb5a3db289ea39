/** Functions that densities of the toy data need. */

const { PI, abs, exp, sign, sqrt } = Math

/** e^(−|x|) I₀(x), the modified Bessel function, to 2e-7 (Abramowitz and Stegun 9.8.1 and 9.8.2). */
export function besselI0Scaled(x: number): number {
  const a = abs(x)
  if (a < 3.75) {
    const t = (x / 3.75) ** 2
    const series =
      1 +
      t * (3.5156229 + t * (3.0899424 + t * (1.2067492 + t * (0.2659732 + t * (0.0360768 + t * 0.0045813)))))
    return exp(-a) * series
  }
  const t = 3.75 / a
  const series = [
    0.39894228, 0.01328592, 0.00225319, -0.00157565, 0.00916281, -0.02057706, 0.02635537, -0.01647633,
    0.00392377
  ].reduceRight((sum, coefficient) => sum * t + coefficient, 0)
  return series / sqrt(a)
}

/** P(N(0, 1) ≤ x): the series of Abramowitz and Stegun 26.2.10 near 0, the continued fraction 26.2.14 beyond. */
export function normalCdf(x: number): number {
  const a = abs(x)
  if (a > 38) return x > 0 ? 1 : 0
  const density = exp(-0.5 * a * a) / sqrt(2 * PI)
  if (a < 3) {
    let term = a
    let sum = a
    for (let k = 1; abs(term) > 1e-17 * sum; k++) {
      term *= (a * a) / (2 * k + 1)
      sum += term
    }
    return 0.5 + sign(x) * density * sum
  }
  let fraction = a
  for (let k = 40; k >= 1; k--) fraction = a + k / fraction
  const tail = density / fraction
  return x > 0 ? 1 - tail : tail
}

export function normalDensity(x: number, deviation: number): number {
  return exp(-0.5 * (x / deviation) ** 2) / (deviation * sqrt(2 * PI))
}
