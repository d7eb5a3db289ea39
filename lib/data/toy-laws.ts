import type { Law, Place, Point } from './law-dataset'
import type { RowRandom } from './random'
import { besselI0Scaled, normalCdf, normalDensity } from './special'

/** The laws of the toy data: how to draw a point, and its density. Definitions as in FFJORD's toy data. */

const { PI, E, abs, max, cos, sin, sqrt, exp, log, floor, hypot } = Math

/** Which of `parts` a row belongs to: its place decides, or chance. */
function part(random: RowRandom, parts: number, place: Place | undefined): number {
  return place ? floor((place.index * parts) / place.count) : floor(random.uniform() * parts)
}

/** A number in [0, 1): evenly spaced over the rows of a part, or uniform. */
function fraction(random: RowRandom, parts: number, place: Place | undefined): number {
  return place ? ((place.index * parts) / place.count) % 1 : random.uniform()
}

function blurred(x: number, y: number, deviation: number, random: RowRandom): Point {
  return [x + deviation * random.normal(), y + deviation * random.normal()]
}

/** Points of a curve and the share of the mass at each: nodes and weights of Simpson's rule. */
interface Nodes {
  x: Float64Array
  y: Float64Array
  weight: Float64Array
}

/** Nodes of `curve` over [from, to], where `mass` is the density of its argument. */
function nodesOf(
  curve: (t: number) => Point,
  mass: (t: number) => number,
  from: number,
  to: number,
  intervals: number
): Nodes {
  const nodes = Array.from({ length: intervals + 1 }, (_, i) => {
    const t = from + ((to - from) * i) / intervals
    const share = i === 0 || i === intervals ? 1 : i % 2 === 1 ? 4 : 2
    const [x, y] = curve(t)
    return { x, y, weight: (mass(t) * share * (to - from)) / (3 * intervals) }
  })
  const pick = (key: 'x' | 'y' | 'weight') => Float64Array.from(nodes, (node) => node[key])
  return { x: pick('x'), y: pick('y'), weight: pick('weight') }
}

/** The density of a node drawn by its weight, plus normal noise. */
function blurredNodes({ x: xs, y: ys, weight }: Nodes, deviation: number): Law['density'] {
  const precision = 1 / (2 * deviation * deviation)
  return (x, y) => {
    let sum = 0
    for (let i = 0; i < xs.length; i++) {
      const dx = x - xs[i]!
      const dy = y - ys[i]!
      sum += weight[i]! * exp(-precision * (dx * dx + dy * dy))
    }
    return (sum * precision) / PI
  }
}

function eightGaussians(): Omit<Law, 'entropy'> {
  // biome-ignore lint/suspicious/noApproximativeNumericConstant: the reference's own digits
  const scale = 1 / 1.414
  const radius = 4 * scale
  const deviation = 0.5 * scale
  const centres = Array.from(
    { length: 8 },
    (_, k): Point => [radius * cos((PI * k) / 4), radius * sin((PI * k) / 4)]
  )
  return {
    draw(random) {
      const [x, y] = centres[floor(random.uniform() * 8)]!
      return blurred(x, y, deviation, random)
    },
    density: blurredNodes(
      {
        x: Float64Array.from(centres, ([x]) => x),
        y: Float64Array.from(centres, ([, y]) => y),
        weight: new Float64Array(8).fill(1 / 8)
      },
      deviation
    )
  }
}

const checkerboard: Omit<Law, 'entropy'> = {
  draw(random) {
    const x = 4 * random.uniform() - 2
    const parity = ((floor(x) % 2) + 2) % 2
    const y = random.uniform() - 2 * floor(2 * random.uniform()) + parity
    return [2 * x, 2 * y]
  },
  density(x, y) {
    if (x < -4 || x >= 4) return 0
    const parity = ((floor(x / 2) % 2) + 2) % 2
    const v = y / 2 - parity
    return (v >= 0 && v < 1) || (v >= -2 && v < -1) ? 1 / 32 : 0
  }
}

/** Concentric circles with normal noise; the density of one is a Rice law of the radius. */
function rings(radii: readonly number[], deviation: number): Omit<Law, 'entropy'> {
  const variance = deviation * deviation
  return {
    draw(random, place) {
      const radius = radii[part(random, radii.length, place)]!
      const angle = 2 * PI * fraction(random, radii.length, place)
      return blurred(radius * cos(angle), radius * sin(angle), deviation, random)
    },
    density(x, y) {
      const r = hypot(x, y)
      const one = (radius: number) =>
        (exp(-((r - radius) ** 2) / (2 * variance)) * besselI0Scaled((r * radius) / variance)) /
        (2 * PI * variance)
      return radii.reduce((sum, radius) => sum + one(radius) / radii.length, 0)
    }
  }
}

function moons(): Omit<Law, 'entropy'> {
  const deviation = 0.2
  const centre = (moon: number, angle: number): Point =>
    moon === 0 ? [2 * cos(angle) - 1, 2 * sin(angle) - 0.2] : [1 - 2 * cos(angle), 0.8 - 2 * sin(angle)]
  const [upper, lower] = [0, 1].map((moon) =>
    blurredNodes(
      nodesOf(
        (angle) => centre(moon, angle),
        () => 1 / PI,
        0,
        PI,
        200
      ),
      deviation
    )
  ) as [Law['density'], Law['density']]
  return {
    draw(random, place) {
      const moon = part(random, 2, place)
      const [x, y] = centre(moon, PI * fraction(random, 2, place))
      return blurred(x, y, deviation, random)
    },
    density: (x, y) => (upper(x, y) + lower(x, y)) / 2
  }
}

function swissRoll(): Omit<Law, 'entropy'> {
  const at = (t: number): Point => [(t * cos(t)) / 5, (t * sin(t)) / 5]
  return {
    draw(random) {
      const [x, y] = at(1.5 * PI * (1 + 2 * random.uniform()))
      return blurred(x, y, 0.2, random)
    },
    density: blurredNodes(
      nodesOf(at, () => 1 / (3 * PI), 1.5 * PI, 4.5 * PI, 800),
      0.2
    )
  }
}

function twoSpirals(): Omit<Law, 'entropy'> {
  const deviation = 0.1
  const box = 0.5 / 3
  const end = 3 * PI
  // A coordinate is uniform over [centre, centre + box], blurred.
  const coordinate = (offset: number) =>
    (normalCdf(offset / deviation) - normalCdf((offset - box) / deviation)) / box
  const at = (n: number): Point => [(-n * cos(n)) / 3, (n * sin(n)) / 3]
  const nodes = nodesOf(at, (n) => (2 * n) / (end * end), 0, end, 800)
  const arm = (x: number, y: number) => {
    let sum = 0
    for (let i = 0; i < nodes.x.length; i++) {
      const dx = x - nodes.x[i]!
      const dy = y - nodes.y[i]!
      // Ten deviations outside the box there is nothing left.
      if (abs(dx - box / 2) < 1.1 && abs(dy - box / 2) < 1.1)
        sum += nodes.weight[i]! * coordinate(dx) * coordinate(dy)
    }
    return sum
  }
  return {
    draw(random, place) {
      const sign = part(random, 2, place) === 0 ? 1 : -1
      const [x, y] = at(sqrt(random.uniform()) * end)
      const dx = box * random.uniform()
      const dy = box * random.uniform()
      return blurred(sign * (x + dx), sign * (y + dy), deviation, random)
    },
    density: (x, y) => (arm(x, y) + arm(-x, -y)) / 2
  }
}

function pinwheel(): Omit<Law, 'entropy'> {
  const arms = 5
  const radial = 0.3
  const tangential = 0.1
  const angleOf = (arm: number, a: number) => (2 * PI * arm) / arms + 0.25 * exp(a)
  return {
    draw(random, place) {
      const arm = part(random, arms, place)
      const a = 1 + radial * random.normal()
      const b = tangential * random.normal()
      const angle = angleOf(arm, a)
      return [2 * (a * cos(angle) + b * sin(angle)), 2 * (-a * sin(angle) + b * cos(angle))]
    },
    /**
     * Change of variables: the sum over the (a, b) that map to this point, of which a = p·(cos θ, −sin θ) has up to a
     * few solutions an arm; |∂(x, y)/∂(a, b)| = 4 |1 + b θ'(a)|.
     */
    density(x, y) {
      const px = x / 2
      const py = y / 2
      const r = hypot(px, py)
      const inner = sqrt(max(0, r * r - (9 * tangential) ** 2))
      const step = 0.01
      const ranges =
        inner > 0
          ? [[inner, r + step] as const, [-r - step, -inner] as const]
          : [[-r - step, r + step] as const]
      let sum = 0
      for (let arm = 0; arm < arms; arm++) {
        const excess = (a: number) => {
          const angle = angleOf(arm, a)
          return px * cos(angle) - py * sin(angle) - a
        }
        for (const [from, to] of ranges) {
          let a0 = from
          let e0 = excess(a0)
          while (a0 < to) {
            const a1 = Math.min(to, a0 + step)
            const e1 = excess(a1)
            if (e0 * e1 < 0 || e1 === 0) {
              const a = root(excess, a0, a1, e0)
              const angle = angleOf(arm, a)
              const b = px * sin(angle) + py * cos(angle)
              const jacobian = 4 * abs(1 + b * 0.25 * exp(a))
              sum += (normalDensity(a - 1, radial) * normalDensity(b, tangential)) / jacobian
            }
            a0 = a1
            e0 = e1
          }
        }
      }
      return sum / arms
    }
  }
}

/** Bisection; f changes its sign between `low` and `high`. */
function root(f: (x: number) => number, low: number, high: number, atLow: number): number {
  for (let i = 0; i < 44; i++) {
    const middle = (low + high) / 2
    if (atLow * f(middle) > 0) low = middle
    else high = middle
  }
  return (low + high) / 2
}

/** y = f(x) + normal noise over x uniform in [−2.5, 2.5]; without noise there is no density. */
export function curve(f: (x: number) => number, noise: number): Law {
  return {
    draw(random) {
      const x = 5 * random.uniform() - 2.5
      return [x, f(x) + noise * random.normal()]
    },
    density: (x, y) => (abs(x) <= 2.5 ? normalDensity(y - f(x), noise) / 5 : 0),
    entropy: {
      nats: noise > 0 ? log(5) + 0.5 * log(2 * PI * E * noise * noise) : -Infinity,
      error: 0
    }
  }
}

/** −∫ p log p on grids of 0.01 to 0.04, which moves by less than `error` where the grid is halved. */
const entropies = {
  '8gaussians': { nats: 2.83188, error: 1e-4 },
  checkerboard: { nats: log(32), error: 0 },
  circles: { nats: 3.26814, error: 1e-4 },
  rings: { nats: 2.62318, error: 1e-4 },
  moons: { nats: 2.39388, error: 1e-4 },
  swissroll: { nats: 2.66965, error: 1e-4 },
  '2spirals': { nats: 2.64545, error: 1e-4 },
  pinwheel: { nats: 2.31779, error: 1e-4 }
}

export const laws: Record<keyof typeof entropies, Law> = {
  '8gaussians': { ...eightGaussians(), entropy: entropies['8gaussians'] },
  checkerboard: { ...checkerboard, entropy: entropies.checkerboard },
  circles: { ...rings([3, 1.5], 0.24), entropy: entropies.circles },
  rings: { ...rings([3, 2.25, 1.5, 0.75], 0.08), entropy: entropies.rings },
  moons: { ...moons(), entropy: entropies.moons },
  swissroll: { ...swissRoll(), entropy: entropies.swissroll },
  '2spirals': { ...twoSpirals(), entropy: entropies['2spirals'] },
  pinwheel: { ...pinwheel(), entropy: entropies.pinwheel }
}
