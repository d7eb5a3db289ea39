/**
 * The 25 problems of DETEST over [0, 20]: Hull, Enright, Fellen, Sedgwick, "Comparing numerical methods for ordinary
 * differential equations", SIAM J. Numer. Anal. 9 (1972). A: single equations, B: small systems, C: moderate systems, D: orbits of
 * growing eccentricity, E: higher-order equations.
 */
export interface Problem {
  f: (t: number, y: Float64Array) => number[]
  y0: number[]
  /** y(20) in closed form, where there is one. */
  solution?: number[]
}

export const end = 20

const first = (size: number) => Array.from({ length: size }, (_, i) => (i === 0 ? 1 : 0))

/** A chain of decays at the given rates; the last of its ten elements is stable. */
function decay(rate: (i: number) => number): Problem {
  return {
    f: (_t, y) =>
      Array.from(y, (value, i) => (i > 0 ? rate(i - 1) * y[i - 1]! : 0) - (i < 9 ? rate(i) * value : 0)),
    y0: first(10)
  }
}

/** The heat equation by differences. */
function diffusion(size: number): Problem {
  return {
    f: (_t, y) => Array.from(y, (value, i) => (y[i - 1] ?? 0) - 2 * value + (y[i + 1] ?? 0)),
    y0: first(size)
  }
}

function orbit(eccentricity: number): Problem {
  return {
    f: (_t, y) => {
      const cube = Math.hypot(y[0]!, y[1]!) ** 3
      return [y[2]!, y[3]!, -y[0]! / cube, -y[1]! / cube]
    },
    y0: [1 - eccentricity, 0, 0, Math.sqrt((1 + eccentricity) / (1 - eccentricity))]
  }
}

/** Jupiter, Saturn, Uranus, Neptune, Pluto about the sun: positions (5, 3), then velocities. */
function fiveBodies(): Problem {
  const gravity = 2.95912208286
  const sun = 1.00000597682
  const mass = [
    0.000954786104043, 0.000285583733151, 0.0000437273164546, 0.0000517759138449, 0.00000277777777778
  ]
  const position = [
    [3.42947415189, 3.35386959711, 1.35494901715],
    [6.6414554255, 5.97156957878, 2.18231499728],
    [11.2630437207, 14.6952576794, 6.27960525067],
    [-30.1552268759, 1.65699966404, 1.43785752721],
    [-21.123835338, 28.4465098142, 15.388265967]
  ]
  const velocity = [
    [-0.557160570446, 0.505696783289, 0.230578543901],
    [-0.415570776342, 0.365682722812, 0.169143213293],
    [-0.325325669158, 0.189706021964, 0.087726532278],
    [-0.024047625417, -0.287659532608, -0.117219543175],
    [-0.176860753121, -0.216393453025, -0.014864789309]
  ]
  const distance = (y: Float64Array, j: number, k?: number) =>
    Math.hypot(...[0, 1, 2].map((i) => y[3 * j + i]! - (k === undefined ? 0 : y[3 * k + i]!)))
  const acceleration = (y: Float64Array, j: number, i: number) => {
    let sum = (-(sun + mass[j]!) * y[3 * j + i]!) / distance(y, j) ** 3
    for (const [k, m] of mass.entries())
      if (k !== j)
        sum +=
          m * ((y[3 * k + i]! - y[3 * j + i]!) / distance(y, j, k) ** 3 - y[3 * k + i]! / distance(y, k) ** 3)
    return gravity * sum
  }
  return {
    f: (_t, y) => [
      ...y.subarray(15),
      ...Array.from({ length: 15 }, (_, n) => acceleration(y, Math.floor(n / 3), n % 3))
    ],
    y0: [...position.flat(), ...velocity.flat()]
  }
}

export const problems: Record<string, Problem> = {
  A1: { f: (_t, y) => [-y[0]!], y0: [1], solution: [Math.exp(-end)] },
  A2: { f: (_t, y) => [-(y[0]! ** 3) / 2], y0: [1], solution: [1 / Math.sqrt(end + 1)] },
  A3: { f: (t, y) => [y[0]! * Math.cos(t)], y0: [1], solution: [Math.exp(Math.sin(end))] },
  A4: {
    f: (_t, y) => [(y[0]! / 4) * (1 - y[0]! / 20)],
    y0: [1],
    solution: [20 / (1 + 19 * Math.exp(-end / 4))]
  },
  A5: { f: (t, y) => [(y[0]! - t) / (y[0]! + t)], y0: [4] },
  B1: { f: (_t, y) => [2 * (y[0]! - y[0]! * y[1]!), -(y[1]! - y[0]! * y[1]!)], y0: [1, 3] },
  B2: { f: (_t, y) => [-y[0]! + y[1]!, y[0]! - 2 * y[1]! + y[2]!, y[1]! - y[2]!], y0: [2, 0, 1] },
  B3: { f: (_t, y) => [-y[0]!, y[0]! - y[1]! ** 2, y[1]! ** 2], y0: [1, 0, 0] },
  B4: {
    f: (_t, y) => {
      const r = Math.hypot(y[0]!, y[1]!)
      return [-y[1]! - (y[0]! * y[2]!) / r, y[0]! - (y[1]! * y[2]!) / r, y[0]! / r]
    },
    y0: [3, 0, 0]
  },
  B5: { f: (_t, y) => [y[1]! * y[2]!, -y[0]! * y[2]!, -0.51 * y[0]! * y[1]!], y0: [0, 1, 1] },
  C1: decay(() => 1),
  C2: decay((i) => i + 1),
  C3: diffusion(10),
  C4: diffusion(51),
  C5: fiveBodies(),
  D1: orbit(0.1),
  D2: orbit(0.3),
  D3: orbit(0.5),
  D4: orbit(0.7),
  D5: orbit(0.9),
  E1: {
    f: (t, y) => [y[1]!, -(y[1]! / (t + 1) + (1 - 0.25 / (t + 1) ** 2) * y[0]!)],
    y0: [0.671396707141803, 0.0954005144474745]
  },
  E2: { f: (_t, y) => [y[1]!, (1 - y[0]! ** 2) * y[1]! - y[0]!], y0: [2, 0] },
  E3: { f: (t, y) => [y[1]!, y[0]! ** 3 / 6 - y[0]! + 2 * Math.sin(2.78535 * t)], y0: [0, 0] },
  E4: { f: (_t, y) => [y[1]!, 0.032 - 0.4 * y[1]! ** 2], y0: [30, 0] },
  E5: { f: (t, y) => [y[1]!, Math.sqrt(1 + y[1]! ** 2) / (25 - t)], y0: [0, 0] }
}
